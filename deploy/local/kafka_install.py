"""Find Java, and bring Apache Kafka from Maven Central once: a folder of jar files under the cache folder."""

import fcntl
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from deploy.local.problem import PlainProblem

KAFKA_VERSION = "4.4.0"
LOG4J_VERSION = "2.25.1"
DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
JAVA_MAJOR_MIN = 17
DOWNLOAD_MB = 43
JAVA_CHECK_TIMEOUT_SECONDS = 20.0

POM = f"""<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tributary.local</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOG4J_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>{LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

Say = Callable[[str], None]


class KafkaUnavailable(PlainProblem):
    """Apache Kafka cannot run here: no Java 17+, no Maven, or nothing to download it from."""


def find_java() -> Path:
    """The `java` of JAVA_HOME or PATH, at least version 17. Raises: KafkaUnavailable."""
    home = os.environ.get("JAVA_HOME")
    candidates = [Path(home) / "bin" / "java"] if home else []
    on_path = shutil.which("java")
    candidates += [Path(on_path)] if on_path else []
    too_old = []
    for candidate in candidates:
        major = _java_major(candidate)
        if major is not None and major >= JAVA_MAJOR_MIN:
            return candidate
        if major is not None:
            too_old.append(f"{candidate} is Java {major}")
    found = f" ({'; '.join(too_old)})" if too_old else ""
    raise KafkaUnavailable(
        f"Apache Kafka needs Java {JAVA_MAJOR_MIN} or later, found none{found}.",
        "Install one or set JAVA_HOME; or use the embedded log with BROKER=embedded.",
    )


def cache_folder() -> Path:
    """Where downloads are kept between states: $XDG_CACHE_HOME/tributary or ~/.cache/tributary."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "tributary"


def has_kafka(cache: Path) -> bool:
    """Were Kafka's jars fetched already?"""
    return (cache / f"kafka-{KAFKA_VERSION}").exists()


def ensure_kafka(cache: Path, *, say: Say) -> Path:
    """The folder with Kafka's jars, downloaded with Maven the first time; `say` hears about progress.

    Safe against two starts at once. Raises: KafkaUnavailable when Maven is missing or the download fails.
    """
    libraries = cache / f"kafka-{KAFKA_VERSION}"
    if libraries.exists():
        return libraries
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailable(
            "Apache Kafka is fetched with Maven (`mvn`), which is not installed.",
            "Install Maven; or use the embedded log with BROKER=embedded.",
        )
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not libraries.exists():
            say(f"Downloading Apache Kafka {KAFKA_VERSION} (about {DOWNLOAD_MB} MB, once) …")
            _download(maven, libraries, say=say)
    return libraries


def _download(maven: str, libraries: Path, *, say: Say) -> None:
    work = libraries.with_name(f".{libraries.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    (work / "pom.xml").write_text(POM)
    command = [maven, "-B", "--strict-checksums", DEPENDENCY_PLUGIN, "-DincludeScope=runtime"]
    command += [f"-DoutputDirectory={work / 'jars'}", *_repository_option(libraries.parent)]
    with subprocess.Popen(
        command, cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        last_lines = _follow(process.stdout, say=say)
    if process.returncode != 0 or not any((work / "jars").glob("kafka_2.13-*.jar")):
        shutil.rmtree(work, ignore_errors=True)
        raise KafkaUnavailable(
            "Maven could not fetch Apache Kafka.", "\n".join(last_lines) + "\nOr use the embedded log: BROKER=embedded."
        )
    (work / "jars").rename(libraries)
    shutil.rmtree(work, ignore_errors=True)


def _follow(lines: Iterable[str], *, say: Say) -> list[str]:
    """Report every tenth finished file; give back the last few lines that explain a failure."""
    files = 0
    errors: list[str] = []
    for line in lines:
        if "Downloaded from" in line:
            files += 1
            if files % 10 == 0:
                say(f"  … {files} files")
        elif "ERROR" in line:
            errors.append(line.strip())
    return errors[:5]


def _repository_option(cache: Path) -> list[str]:
    """Java takes the home folder from the account, not from HOME; keep Maven's files in our cache if that is closed."""
    probe = Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".m2"
    while not probe.exists():
        probe = probe.parent
    return [] if os.access(probe, os.W_OK) else [f"-Dmaven.repo.local={cache / 'maven'}"]


def _java_major(java: Path) -> int | None:
    try:
        answer = subprocess.run(
            [java, "-version"], capture_output=True, text=True, check=True, timeout=JAVA_CHECK_TIMEOUT_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found.group(1)) if found else None


def say_on_stderr(message: str) -> None:
    """The listener for programs that have no log of their own yet."""
    print(message, file=sys.stderr, flush=True)
