"""The pages and how they are served: offline, without scripts, cached, and every link leads somewhere."""

import gzip
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from deploy.interface.document import build_document
from deploy.interface.page import render_page
from services.gateway.api.interface_pages import FILES, interface_router

PAGES = {"/docs": "docs.html", "/docs/events": "events.html"}
DOCUMENTS = {"/openapi.json": "openapi.json", "/asyncapi.json": "asyncapi.json"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """The four routes alone."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(interface_router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(("path", "file"), [*PAGES.items(), *DOCUMENTS.items()])
async def test_a_file_is_served_as_it_is_and_cached_by_its_content(
    path: str, file: str, client: httpx.AsyncClient
) -> None:
    plain = await client.get(path, headers={"Accept-Encoding": "identity"})
    known = await client.get(path, headers={"If-None-Match": f'"other", W/{plain.headers["etag"]}'})
    other = await client.get(path, headers={"If-None-Match": '"other"'})

    assert plain.content == (FILES / file).read_bytes()
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", plain.headers["etag"])
    assert other.status_code == 200
    assert plain.headers["vary"] == "Accept-Encoding"
    assert "max-age=300" in plain.headers["cache-control"]


@pytest.mark.parametrize(("coding", "is_packed"), [("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False)])
async def test_a_file_is_packed_for_those_who_take_it(coding: str, is_packed: bool, client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "/docs", headers={"Accept-Encoding": coding}) as answer:
        sent = b"".join([piece async for piece in answer.aiter_raw()])

    assert (answer.headers.get("content-encoding") == "gzip") == is_packed
    assert (gzip.decompress(sent) if is_packed else sent) == (FILES / "docs.html").read_bytes()


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_may_load_nothing_and_run_nothing(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(path)
    policy = answer.headers["content-security-policy"]

    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert re.search(r"style-src 'sha256-[A-Za-z0-9+/=]{44}'$", policy)
    assert not re.search(r"<script|\son\w+=|\sstyle=|src=|@import|url\(", answer.text)
    assert "content-security-policy" not in (await client.get("/openapi.json")).headers


@pytest.mark.parametrize("file", PAGES.values())
def test_every_link_leads_somewhere(file: str) -> None:
    html = (FILES / file).read_text()
    anchors = re.findall(r' id="([^"]+)"', html)
    links = re.findall(r'href="([^"]+)"', html)

    assert len(anchors) == len(set(anchors))
    assert {link[1:] for link in links if link.startswith("#")} <= set(anchors)
    assert {link for link in links if not link.startswith("#")} <= {*PAGES, *DOCUMENTS, "data:,"}


def test_what_people_wrote_is_escaped() -> None:
    document = build_document()
    document["info"]["description"] = "<script>alert(1)</script> & `<b>`"

    html = render_page(document)

    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; <code>&lt;b&gt;</code>" in html
