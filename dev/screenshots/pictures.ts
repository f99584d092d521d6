import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import type { DemoPlaces } from './demo-fleet.ts';

export interface Picture {
  name: string;
  /** Within the console. */
  place: string;
  /** What is done before the picture is taken. */
  prepare?: (page: Page) => Promise<void>;
}

/** The pictures that README and docs show. */
export const picturesOfDocuments = ({ running, modem }: DemoPlaces): Picture[] => [
  { name: 'overview', place: '/' },
  { name: 'update', place: `/updates/${running}` },
  {
    name: 'new-update',
    place: `/updates/new?firmware=${modem}&zone=north`,
    prepare: async (page) => {
      await page.getByText(/^\d+ scooters would be updated/).waitFor();
      await page.getByRole('button', { name: /^Update \d+ scooters/ }).scrollIntoViewIfNeeded();
    },
  },
  { name: 'statistics', place: '/statistics' },
];

/** Before there is anything but the devices that poll. */
export const picturesOfNothing: readonly Picture[] = [
  ...['updates', 'firmwares', 'packages', 'groups', 'zones', 'statistics'].map((name) => ({ name: `nothing-${name}`, place: `/${name}` })),
  { name: 'nothing-overview', place: '/' },
  { name: 'nothing-fleet', place: '/fleet?kind=scooter' },
  { name: 'nothing-new-update', place: '/updates/new' },
];

const press = (name: string) => async (page: Page) => {
  await page.getByRole('button', { name, exact: true }).click();
  await page.getByRole('dialog').waitFor();
};

export const picturesOfEverything = (places: DemoPlaces): Picture[] => [
  ...picturesOfDocuments(places),
  { name: 'updates', place: '/updates' },
  { name: 'update-paused', place: `/updates/${places.paused}` },
  { name: 'update-completed', place: `/updates/${places.completed}` },
  { name: 'firmwares', place: '/firmwares' },
  { name: 'firmware', place: `/firmwares/${places.firmware}` },
  { name: 'packages', place: '/packages' },
  { name: 'new-package', place: '/packages/new' },
  { name: 'fleet', place: '/fleet?zone=north' },
  { name: 'device', place: `/fleet/scooter/${places.device}` },
  { name: 'groups', place: '/groups' },
  { name: 'group', place: '/groups/beta' },
  { name: 'new-group', place: '/groups?new=true&kind=scooter&zone=north' },
  { name: 'zones', place: '/zones' },
  { name: 'changes', place: '/audit' },
  { name: 'update-to-approve', place: `/updates/${places.awaitingApproval}` },
  { name: 'approve', place: `/updates/${places.awaitingApproval}`, prepare: press('Approve') },
  { name: 'cancel', place: `/updates/${places.running}`, prepare: press('Cancel update') },
  { name: 'firmware-to-sign', place: `/firmwares/${places.awaitingSignature}` },
  { name: 'new-zone', place: '/zones', prepare: press('New zone') },
  { name: 'found-nothing', place: '/fleet?kind=scooter&id=Z-9' },
  { name: 'no-such-update', place: '/updates/999999' },
  { name: 'no-such-page', place: '/nowhere' },
  {
    name: 'unreachable',
    place: '/updates',
    prepare: async (page) => {
      await page.context().setOffline(true);
      await page.getByText('The service cannot be reached just now.').waitFor();
    },
  },
  { name: 'menu', place: '/', prepare: openMenu },
  { name: 'logged-out', place: '/', prepare: logOut },
];

/** On a phone. */
const openMenu = async (page: Page): Promise<void> => {
  const menu = page.getByRole('button', { name: 'Menu' });
  if (await menu.isVisible()) await menu.click();
};

const logOut = async (page: Page): Promise<void> => {
  await openMenu(page);
  await page.getByRole('button', { name: 'Log out' }).click();
};

export interface Look {
  colorScheme: 'light' | 'dark';
  width: number;
}

/** Writes `<name>.png`, or `<name>-dark-390.png` where several looks are asked for. */
export const takePictures = async (
  browser: Browser,
  apiUrl: string,
  pictures: readonly Picture[],
  { directory, looks, isWhole }: { directory: string; looks: readonly Look[]; isWhole: boolean },
): Promise<void> => {
  await mkdir(directory, { recursive: true });
  for (const { colorScheme, width } of looks) {
    const viewport = { width, height: 860 };
    const context = await browser.newContext({
      viewport,
      colorScheme,
      locale: 'en-GB',
      timezoneId: 'Europe/Berlin',
      reducedMotion: 'reduce',
    });
    const page = await context.newPage();
    for (const { name, place, prepare } of pictures) {
      await context.setOffline(false);
      // Loaded anew: what was done for the picture before is gone.
      await page.goto('about:blank');
      await page.goto(`${apiUrl}/console#${place}`);
      await page.getByRole('heading', { level: 1 }).waitFor();
      await page.locator('.loading').first().waitFor({ state: 'detached' });
      await prepare?.(page);
      // Charts are drawn only when their data has come.
      await page.waitForLoadState('networkidle');
      const ending = looks.length === 1 ? '' : `-${colorScheme}-${width}`;
      await page.screenshot({ path: join(directory, `${name}${ending}.png`), fullPage: isWhole });
    }
    await context.close();
  }
};
