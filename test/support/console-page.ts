import { AxeBuilder } from '@axe-core/playwright';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { expect } from 'vitest';
import { findChromium } from '../../dev/browser.ts';

/** Without it the tests of the console are skipped, and say so. */
export const chromiumPath = ((): string | undefined => {
  const path = findChromium();
  if (path === undefined) console.warn('NOT TESTED in a real browser: there is no chromium (apt-get install chromium)');
  return path;
})();

export interface ConsolePage {
  page: Page;
  /** Shows a place of the console, `/updates/17` say, and waits until it has been drawn. */
  show(place: string): Promise<void>;
  /** What the browser complained of since it was asked last; violations of the policy among it. */
  complaints(): string[];
  close(): Promise<void>;
}

/** An answer that is no success is told by the page itself; the browser's own line about it is no complaint. */
const isAboutAnAnswer = (text: string): boolean => /^Failed to load resource/.test(text);

/** A browser of somebody's own, logged in at the console of this service. */
export const openConsole = async (
  browser: Browser,
  apiUrl: string,
  { at = '/', ...options }: BrowserContextOptions & { at?: string } = {},
): Promise<ConsolePage> => {
  const context = await browser.newContext({
    ...{ viewport: { width: 1280, height: 900 }, locale: 'en-GB', timezoneId: 'Europe/Berlin', reducedMotion: 'reduce' },
    ...options,
  });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const heard: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !isAboutAnAnswer(message.text())) heard.push(message.text());
  });
  page.on('pageerror', (error) => heard.push(error.message));
  await page.addInitScript(`addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
    console.error('policy violated: ' + violatedDirective + ' ' + blockedURI))`);
  await page.goto(`${apiUrl}/console#${at}`);
  await page.getByRole('heading', { level: 1 }).waitFor();
  return {
    page,
    async show(place) {
      await page.goto(`${apiUrl}/console#${place}`);
      await page.getByRole('heading', { level: 1 }).waitFor();
      await expect.poll(() => page.locator('.loading').count(), { timeout: 60_000 }).toBe(0);
    },
    complaints: () => heard.splice(0),
    close: () => context.close(),
  };
};

const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** What axe finds on the page as it is now (WCAG 2.2 AA), each with the elements concerned. */
export const findBarriers = async (page: Page): Promise<string[]> => {
  const { violations } = await new AxeBuilder({ page }).withTags(tags).setLegacyMode(true).analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('\n')}`);
};

export const expectNoSidewaysScrolling = async (page: Page, where: string): Promise<void> => {
  const wider = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
  expect(wider, `${where} is wider than the screen by so many pixels`).toBeLessThanOrEqual(0);
};

/** Goes on by Tab until what has the focus is called so. */
export const tabTo = async (page: Page, name: string): Promise<void> => {
  const target = page
    .getByLabel(name, { exact: true })
    .or(page.getByRole('button', { name }))
    .or(page.getByRole('link', { name, exact: true }));
  for (let press = 0; press < 120; press += 1) {
    await page.keyboard.press('Tab');
    if ((await target.and(page.locator(':focus')).count()) > 0) return;
  }
  throw new Error(`By Tab alone nobody comes to ${name}`);
};
