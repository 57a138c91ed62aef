"""The dashboard in headless Chromium: numbers move under load, a stream is opened, lists are filtered, a message is looked at.

    python dashboard.py BIN [FOLDER_FOR_SCREENSHOTS] [STREAMS]

Light and dark, desktop and phone. Needs the packages playwright and nats-py, and Chromium as `chromium` (or $CHROMIUM).
"""
import asyncio
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import nats
from playwright.async_api import async_playwright, expect

BIN = sys.argv[1]
SHOTS = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
STREAMS = int(sys.argv[3]) if len(sys.argv) > 3 else 300
SIZES = {"desktop": (1360, 860), "phone": (390, 844)}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    def __enter__(self):
        self.port, self.monitor = free_port(), free_port()
        self.folder = tempfile.mkdtemp()
        path = pathlib.Path(self.folder, "server.conf")
        path.write_text(
            f"server_name: console\nlisten: 127.0.0.1:{self.port}\nhttp: 127.0.0.1:{self.monitor}\n"
            f'jetstream {{ store_dir: "{self.folder}/store" }}\nmonitoring {{ message_peek: true }}\n'
        )
        self.process = subprocess.Popen([BIN, "-c", str(path)], stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except OSError:
                time.sleep(0.05)
        raise SystemExit("the server did not start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


async def fill(client):
    stream = client.jetstream()
    await stream.add_stream(name="ORDERS", subjects=["orders.>"], description="Orders of all shops")
    await stream.add_stream(name="EVENTS", subjects=["events.*"])
    for name in ("billing", "shipping"):
        await stream.add_consumer("ORDERS", durable_name=name, ack_policy="explicit")
    for start in range(0, STREAMS, 50):
        numbers = range(start, min(start + 50, STREAMS))
        await asyncio.gather(*(stream.add_stream(name=f"DEVICE-{n:05}", subjects=[f"device.{n}.*"]) for n in numbers))
    await stream.publish("events.binary", bytes(range(256)))
    # What would be markup, were it not set as text.
    await stream.publish("events.markup", b"<img src=x onerror=alert(1)>", headers={"Note": "<b>bold</b>"})


async def load(client, until):
    stream, sent = client.jetstream(), 0
    pull = await stream.pull_subscribe_bind("billing", "ORDERS")
    while not until.is_set():
        some = [
            stream.publish(f"orders.{shop}.placed", json.dumps({"order": sent + n, "shop": shop, "total": 12.5 + n}).encode())
            for n, shop in enumerate(("berlin", "lyon", "turin", "porto") * 5)
        ]
        await asyncio.gather(*some)
        sent += len(some)
        for message in await pull.fetch(10, timeout=1):
            await message.ack()
        await asyncio.sleep(0.02)


async def check(browser, base, scheme, size):
    width, height = SIZES[size]
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=2 if size == "phone" else 1
    )
    page = await context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" and "404" not in line.text else None)
    page.on("dialog", lambda dialog: wrong.append("a dialog"))
    page.on("request", lambda request: None if request.url.startswith(base) or request.url.startswith("data:") else wrong.append(request.url))

    async def shot(name):
        if SHOTS:
            SHOTS.mkdir(parents=True, exist_ok=True)
            await page.screenshot(path=SHOTS / f"{name}-{scheme}-{size}.png")

    async def fits():
        wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{page.url}: {wide} pixels too wide"

    await page.add_init_script(
        "window.shift = 0; new PerformanceObserver((all) => { for (const one of all.getEntries()) if (!one.hadRecentInput) window.shift += one.value; })"
        ".observe({type: 'layout-shift', buffered: true});"
    )
    await page.goto(f"{base}/dashboard")
    await expect(page.locator("#health")).to_contain_text("healthy")
    # Live numbers: the rate is not zero, and the line grows.
    await expect(page.locator(".stat .value").first).to_have_text(re.compile(r"[1-9].*/s"))
    line = page.locator(".chart path.trace").first
    before = await line.get_attribute("d")
    await page.wait_for_timeout(1500 if not SHOTS else 9000)
    assert await line.get_attribute("d") != before, "the chart stands still"
    await fits()
    await shot("overview")

    await page.get_by_role("link", name=re.compile("^Streams")).click()
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(50)
    await expect(page.locator(".count")).to_contain_text(f"of {STREAMS + 2:,}")
    await page.keyboard.press("/")
    await page.keyboard.type("ord")
    await expect(rows).to_have_count(1)
    await page.locator("#search").fill("")
    await page.get_by_role("button", name="Messages").click()
    await expect(rows.first).to_contain_text("ORDERS")
    await page.wait_for_timeout(5000 if SHOTS else 0)
    await fits()
    await shot("streams")

    await page.get_by_role("link", name="ORDERS").click()
    await expect(page.get_by_role("heading", name="ORDERS")).to_be_visible()
    await expect(page.locator("tbody")).to_contain_text("billing")
    await expect(page.locator("pre")).to_contain_text('"shop"')
    await page.get_by_label("Subject filter").fill("orders.lyon.>")
    await page.get_by_label("Subject filter").press("Enter")
    await expect(page.locator("pre")).to_contain_text('"lyon"')
    await page.get_by_role("button", name="Next message").click()
    await expect(page.locator("pre")).to_contain_text('"order": 5')
    await page.wait_for_timeout(5000 if SHOTS else 0)
    await fits()
    await shot("stream")
    if SHOTS and size == "phone":
        await page.locator(".message").scroll_into_view_if_needed()
        await shot("message")

    await page.goto(f"{base}/dashboard#/stream/%24G/EVENTS")
    await expect(page.locator("pre")).to_have_text("<img src=x onerror=alert(1)>")
    await expect(page.get_by_text("<b>bold</b>")).to_be_visible()
    await page.get_by_role("button", name="Previous message").click()
    await expect(page.locator("pre")).to_contain_text("000000  00 01 02")

    for view, text in (("Connections", "load"), ("Consumers", "shipping"), ("Accounts", "$G")):
        await page.get_by_role("link", name=re.compile(f"^{view}")).click()
        await expect(page.locator("tbody")).to_contain_text(text)
        await page.wait_for_timeout(4500 if SHOTS else 0)
        await fits()
        await shot(view.lower())
    # Without a mouse: the first tab stop leads to the content.
    await page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    shift = await page.evaluate("window.shift")
    assert shift < 0.05, f"the layout shifts: {shift}"
    assert not wrong, wrong
    await context.close()
    print(f"{scheme}, {size}: passed, layout shift {shift:.4f}")


async def main():
    with Server() as server:
        client = await nats.connect(f"nats://127.0.0.1:{server.port}", name="load")
        await fill(client)
        done = asyncio.Event()
        working = asyncio.create_task(load(client, done))
        async with async_playwright() as playwright:
            program = os.environ.get("CHROMIUM") or shutil.which("chromium")
            browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            for scheme in ("light", "dark"):
                for size in SIZES:
                    await check(browser, f"http://127.0.0.1:{server.monitor}", scheme, size)
            await browser.close()
        done.set()
        await working
        await client.close()
    print("4 passed, 0 failed")


asyncio.run(main())
