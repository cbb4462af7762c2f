"""axe-core on a page: what it finds of WCAG 2 at the levels A and AA that is serious or worse.

Its script is evaluated by the debugger of the browser, which the Content-Security-Policy of the page does not bind: the
policy stays in force for the page itself.
"""

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
# The rules whose answer a colour scheme can change.
COLOUR_RULES = ("color-contrast", "link-in-text-block")
SERIOUS = ("serious", "critical")

# What an open menu covers is no target until it is closed.
_RUN = """async ([only, impacts]) => {
    const covered = [...document.querySelectorAll('details.menu[open]')].some(menu => menu.checkVisibility());
    const rules = {'target-size': {enabled: !covered}};
    const {violations} = await axe.run(document, {runOnly: only, rules, resultTypes: ['violations']});
    const told = (rule, node) => [rule, node.target.join(' '), node.html.slice(0, 160), node.failureSummary].join(': ');
    return violations.filter(found => impacts.includes(found.impact)).flatMap(
        found => found.nodes.map(node => told(found.id, node).replaceAll('\\n', ' ')));
}"""


def violations(page: Page, *, colours_only: bool = False) -> list[str]:
    """Each place of the page that breaks a rule, with the rule's name; without `colours_only`, by all rules."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE_SCRIPT)
    only = (
        {"type": "rule", "values": COLOUR_RULES}
        if colours_only
        else {"type": "tag", "values": TAGS}
    )
    found: list[str] = page.evaluate(_RUN, [only, SERIOUS])
    return found
