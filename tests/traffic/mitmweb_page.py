"""The page of mitmweb, as a person uses it."""

import json

from .browser import Browser, BrowserPage
from .web import Web

_LINES = ".contentview pre > div"
_RESULTS = ".command-result > div"
_HEADING = "document.querySelector('.contentview .controls h5')?.innerText.toLowerCase()"


class MitmwebPage:
    """An open page of mitmweb: the list of flows and, after a click, one flow."""

    def __init__(self, browser: Browser, web: Web, width: int = 1600, height: int = 1000) -> None:
        self.page: BrowserPage = browser.open(web.page_url, width, height)
        self.page.wait("document.querySelector('.connection-indicator.established')")

    def wait_for_rows(self, count: int) -> list[dict[str, str]]:
        """Return the rows as soon as there are so many, all with a comment."""
        filled = "one => one.querySelector('.col-comment')?.innerText"
        rows = "[...document.querySelectorAll('.flow-table tr.has-request')]"
        self.page.wait(f"{rows}.length === {count} && {rows}.every({filled})")
        return self.rows

    def wait_for_comments(self, beginnings: list[str]) -> None:
        """Wait until the rows are those whose comments begin in this way."""
        cells = "[...document.querySelectorAll('.flow-table tr.has-request td.col-comment')]"
        wanted = json.dumps(beginnings)
        self.page.wait(
            f"{cells}.length === {wanted}.length"
            f" && {cells}.every((cell, at) => cell.innerText.startsWith({wanted}[at]))"
        )

    @property
    def rows(self) -> list[dict[str, str]]:
        """The texts of the rows by column: comment, path, status, size, time."""
        found: list[dict[str, str]] = self.page.evaluate(
            "[...document.querySelectorAll('.flow-table tr.has-request')].map(row =>"
            " Object.fromEntries([...row.children].map(cell =>"
            " [cell.className.replace('col-', ''), cell.innerText])))"
        )
        return found

    def select(self, comment: str) -> None:
        """Click the row whose comment contains this text."""
        self.page.click(".flow-table tr.has-request td.col-comment", comment)
        self.page.wait("document.querySelector('.flow-detail')")

    def select_row(self, number: int) -> None:
        """Click a row by its position, from 0."""
        self.page.evaluate(
            "document.querySelectorAll('.flow-table tr.has-request')"
            f"[{number}].querySelector('.col-comment').click()"
        )
        self.page.wait("document.querySelector('.flow-detail')")

    def wait_for_quiet(self) -> None:
        """Wait until animations, such as that of the word *connected*, have ended."""
        self.page.wait("document.getAnimations().every(one => one.playState !== 'running')")

    def tab(self, name: str) -> None:
        """Open a tab of the selected flow, such as `Response`, and wait for its text."""
        self.page.click(".flow-detail nav a", name)
        active = "document.querySelector('.flow-detail nav a.active')?.innerText"
        self.page.wait(f"{active}.trim() === {json.dumps(name)}")
        self.page.wait(f"document.querySelector({json.dumps(_LINES)})")

    def view(self, name: str) -> list[str]:
        """Choose a view from the menu; return its lines."""
        self.page.click(".contentview .controls a", "View:")
        self.page.click(".dropdown-menu li", name)
        self.page.wait(f"{_HEADING} === {json.dumps(name)}")
        return self.lines

    def wait_for_line(self, text: str) -> list[str]:
        """Return the lines as soon as one of them contains the text."""
        lines = f"[...document.querySelectorAll({json.dumps(_LINES)})]"
        self.page.wait(f"{lines}.some(line => line.innerText.includes({json.dumps(text)}))")
        return self.lines

    @property
    def lines(self) -> list[str]:
        """The lines of the view that is shown."""
        return [line.rstrip("\n") for line in self.page.texts(_LINES)]

    @property
    def lines_out_of_sight(self) -> list[str]:
        """The lines of the view that are wider than the pane."""
        found: list[str] = self.page.evaluate(
            "(() => { const pane = document.querySelector('.flow-detail').getBoundingClientRect();"
            f" return [...document.querySelectorAll({json.dumps(_LINES)})].filter(line => {{"
            " const range = document.createRange(); range.selectNodeContents(line);"
            " return range.getBoundingClientRect().right > pane.right; })"
            ".map(line => line.innerText); })()"
        )
        return found

    def press(self, key: str) -> None:
        """Press a key of mitmweb, such as `r` for Replay of the selected flow."""
        self.page.press(key)

    def run_command(self, command: str) -> str:
        """Type a command into the command bar; return its last result or error."""
        bar = ".command-input input"
        if not self.page.evaluate(f"!!document.querySelector('{bar}')"):
            self.page.click("header nav a", "Options")
            self.page.click("header label", "Display Command Bar")
        before = len(self.page.texts(_RESULTS))
        self.page.type(bar, command)
        self.page.press("Enter")
        self.page.wait(f"document.querySelectorAll({json.dumps(_RESULTS)}).length > {before}")
        return self.page.texts(_RESULTS)[-1]

    def search(self, expression: str) -> None:
        """Type a filter into the field of the list."""
        self.page.click("header nav a", "Flow List")
        self.page.type("input[placeholder=Search]", expression)

    @property
    def refuses_the_filter(self) -> bool:
        """Whether the filter that was typed is marked as an error."""
        return bool(self.page.evaluate("!!document.querySelector('.filter-input.has-error')"))
