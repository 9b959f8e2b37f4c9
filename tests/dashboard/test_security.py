"""A foreign page cannot steer a run, nor read one."""

from __future__ import annotations

import pytest
from sites import HOST, PORT, Site, write_run

CHANGES = ("/api/set/a", "/api/do/a", "/api/play/a")


@pytest.fixture(autouse=True)
def run(home):
    return write_run(home, "a", status="interrupted")


@pytest.mark.parametrize(
    "host", [f"evil.example:{PORT}", "evil.example", f"127.0.0.1:{PORT + 1}", f"192.168.0.7:{PORT}",
             f"127.0.0.1.evil.example:{PORT}", f"evil@127.0.0.1.x:{PORT}", "", "[", f"127.0.0.1:{PORT}:1", "127.0.0.1:x"]
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/api/runs", "/api/stream", "/static/main.js"])
def test_only_our_own_host_is_answered(site, host, path):
    answer = site.get(path, host=host)
    assert (answer.status, list(answer.json)) == (421, ["error"])


@pytest.mark.parametrize("host", [HOST, f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}"])
def test_this_machine_has_several_names(site, host):
    assert site.get("/api/runs", host=host).status == 200


def test_no_host_at_all(site):
    assert site.ask("GET", "/api/runs", {}).status == 421


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x_qlearn_token": ""}, 403),
        ({"x_qlearn_token": "the-tokem"}, 403),
        ({"x_qlearn_token": "\xe9"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": ""}, 403),
        ({"origin": f"http://{HOST}/"}, 403),
        ({"origin": f"http://evil.example:{PORT}"}, 403),
        ({"origin": f"http://localhost:{PORT}"}, 403),
        ({"origin": f"ftp://{HOST}"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"content_type": ""}, 415),
        ({"content_length": str(65 * 1024)}, 413),
        ({"content_length": "-1"}, 413),
        ({"content_length": "9" * 100}, 413),
    ],
)
def test_a_change_is_refused(site, run, path, headers, status):
    answer = site.post(path, {"epsilon": 0.5, "do": "stop"}, **headers)
    assert (answer.status, list(answer.json)) == (status, ["error"])
    assert sorted(file.name for file in run.iterdir()) == [
        "checkpoints",
        "metrics.jsonl",
        "run.json",
    ]


def test_our_own_page_may_change(site, run):
    assert site.post("/api/set/a", {"epsilon": 0.5}).status == 200
    assert (run / "knobs.json").exists()


def test_who_is_no_browser_sends_no_origin(site, run):
    headers = {
        "host": HOST, "x-qlearn-token": site.access.token, "content-type": "application/json"
    }  # fmt: skip
    assert site.ask("POST", "/api/set/a", headers, b'{"epsilon": 0.5}').status == 200


def test_a_token_in_the_address_changes_nothing(site):
    answer = site.post("/api/set/a?token=the-token", {"epsilon": 0.5}, x_qlearn_token="")
    assert answer.status == 403


def test_a_body_that_is_longer_than_it_says(site):
    body = b'{"epsilon": "' + b"x" * 70_000 + b'"}'
    assert site.post("/api/set/a", body, content_length="20").status == 413


def test_a_header_that_stands_twice(site):
    headers = [(b"host", HOST.encode()), (b"host", b"evil.example")]
    import asyncio

    from sites import scope_of

    sent = []

    async def send(message):
        sent.append(message)

    scope = scope_of("GET", "/api/runs", {}) | {"headers": headers}
    asyncio.run(site.app(scope, None, send))
    assert sent[0]["status"] == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "<script>"])
def test_other_methods_do_nothing(site, method):
    headers = {"host": HOST, "x-qlearn-token": site.access.token}
    assert site.ask(method, "/api/set/a", headers).status == 405


@pytest.mark.parametrize("path", CHANGES)
def test_a_change_is_no_get(site, path):
    assert site.get(path).status == 405


@pytest.mark.parametrize("path", ["/", "/api/runs", "/api/run/nix", "/static/main.js", "/nix"])
def test_every_answer_forbids_what_it_can(site, path):
    headers = site.get(path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static/") else "no-store")
    assert "access-control-allow-origin" not in headers


def test_the_page_alone_knows_the_token(site):
    page = site.get("/").body.decode()
    assert 'content="the-token"' in page
    assert "{{" not in page
    for path in ("/api/runs", "/api/run/a", "/api/palette", "/static/main.js"):
        assert b"the-token" not in site.get(path).body


def test_another_sites_page_may_link_here_and_no_more(site):
    assert site.get("/", **{"sec-fetch-site": "cross-site"}).status == 200
    assert site.get("/api/runs", **{"sec-fetch-site": "cross-site"}).status == 403
    assert site.get("/api/runs", **{"sec-fetch-site": "same-origin"}).status == 200


class TestReachedFromElsewhere:
    """Bound to another address, everything needs the token."""

    @pytest.fixture
    def site(self, home):
        found = Site(home, "0.0.0.0")
        yield found
        found.runner.close()

    @pytest.mark.parametrize("path", ["/", "/api/runs", "/static/main.js", "/api/stream"])
    def test_nothing_without_the_token(self, site, path):
        assert site.get(path, host=f"192.168.0.7:{PORT}").status == 403
        assert site.get(path, cookie="qlearn_8700=x; =;,", host=f"192.168.0.7:{PORT}").status == 403

    def test_the_link_lets_in_and_leaves_the_address(self, site):
        host = f"192.168.0.7:{PORT}"
        answer = site.get("/?token=the-token", host=host)
        assert (answer.status, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert site.get("/api/runs", host=host, cookie=cookie.partition(";")[0]).status == 200

    def test_a_name_that_can_be_rebound_is_refused(self, site):
        answer = site.get("/?token=the-token", host=f"evil.example:{PORT}")
        assert answer.status == 421
