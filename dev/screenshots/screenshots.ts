// `npm run screenshots`: pictures of the console for README and docs, from a stack of its own with a fleet that has a history.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Browser } from 'playwright-core';
import { findChromium, launchBrowser } from '../browser.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { createDemoFleet, type DemoPlaces, demoApprovalAbove, demoScooters } from './demo-fleet.ts';
import { picturesOfDocuments, picturesOfEverything, picturesOfNothing, takePictures } from './pictures.ts';

const help = `npm run screenshots                    writes docs/pictures/*.png
npm run screenshots -- --all FOLDER    writes pictures of every page there, light and dark, for a phone and for a desk
`;
const documents = fileURLToPath(new URL('../../docs/pictures', import.meta.url));

const { values } = parseArgs({ options: { all: { type: 'string' }, help: { type: 'boolean' } } });
const chromium = findChromium();
if (values.help) process.stdout.write(help);
else if (chromium === undefined) {
  console.error('There is no chromium: apt-get install chromium, or name one by CHROMIUM');
  process.exitCode = 1;
} else await main(chromium, values.all);

async function main(chromiumPath: string, all: string | undefined): Promise<void> {
  const stack = await startStack({
    simulator: { scooters: demoScooters, cabinets: 0, install_seconds: 2, seed: 7 },
    iotFleet: { cabinets: 6, scooters: 2 },
    approvalAbove: demoApprovalAbove,
    onStep: (text) => console.log(`${text} …`),
    onError: (where, error) => console.error(where, error),
  });
  try {
    const browser = await launchBrowser(chromiumPath);
    try {
      if (all === undefined) await pictureDocuments(browser, stack);
      else await pictureEverything(browser, stack, all);
    } finally {
      await browser.close();
    }
  } finally {
    await stack.stop();
  }
}

async function pictureDocuments(browser: Browser, stack: Stack): Promise<void> {
  const looks = [{ colorScheme: 'light', width: 1280 }] as const;
  await takePictures(browser, stack.api_url, picturesOfDocuments(await makeFleet(stack)), { directory: documents, looks, isWhole: false });
}

async function pictureEverything(browser: Browser, stack: Stack, directory: string): Promise<void> {
  const looks = (['light', 'dark'] as const).flatMap((colorScheme) => [390, 1280].map((width) => ({ colorScheme, width })));
  await takePictures(browser, stack.api_url, picturesOfNothing, { directory, looks, isWhole: true });
  await takePictures(browser, stack.api_url, picturesOfEverything(await makeFleet(stack)), { directory, looks, isWhole: true });
}

function makeFleet(stack: Stack): Promise<DemoPlaces> {
  console.log('Making a fleet with a history; that takes some minutes …');
  return createDemoFleet(stack);
}
