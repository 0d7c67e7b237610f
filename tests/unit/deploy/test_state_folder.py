"""What others poll for is there whole or not at all."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.local.state_folder import StateFolder

URL = "http://127.0.0.1:8080"
ANNOUNCEMENTS = 2_000


def test_who_polls_for_the_address_never_sees_half_of_it(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.announce(state.address, URL)
    seen = set()

    def announce_again_and_again() -> None:
        for _ in range(ANNOUNCEMENTS):
            state.announce(state.address, URL)

    with ThreadPoolExecutor(1) as another:
        announcing = another.submit(announce_again_and_again)
        while not announcing.done():
            seen.add(state.running_url())
    announcing.result()
    assert seen == {URL}
    assert [file.name for file in tmp_path.iterdir()] == [state.address.name]
