// Makes Chromium treat the page's style sheets as Chrome 100 does, which knows neither OKLCH nor dvh.

/** @param {import('playwright-core').Page} page to be opened by the address 127.0.0.1, because this process fetches the styles */
export async function forgetNewStyles(page) {
  await page.route('**/*.css', async (route) => {
    const response = await route.fetch();
    const css = (await response.text()).replaceAll('oklch(', 'unknown-colour(').replaceAll('dvh', 'unknown-unit');
    await route.fulfill({ response, body: css });
  });
}
