// The console as people use it, in a real browser, against the whole service.
import { randomBytes } from 'node:crypto';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Client, createClient, registerAll, startUpdate, uploadFirmware } from '../../clients/api/src/index.ts';
import { launchBrowser } from '../../dev/browser.ts';
import { type ConsolePage, chromiumPath, expectNoSidewaysScrolling, findBarriers, openConsole, tabTo } from '../support/console-page.ts';
import { openTarget, type Target } from '../support/e2e-target.ts';

const SCOOTERS = 40;
/** More than any page shows at once. */
const CABINETS = 100_000;
const idOf = (index: number) => `S-${String(index + 1).padStart(5, '0')}`;

describe.skipIf(chromiumPath === undefined)('the console', () => {
  let target: Target;
  let api: Client;
  let browser: Browser;
  const opened: ConsolePage[] = [];

  beforeAll(async () => {
    [target, browser] = await Promise.all([
      openTarget({ scooters: SCOOTERS, cabinets: 0, install_seconds: 0.5, failure_rate: 0, seed: 7 }, { approvalAbove: SCOOTERS }),
      launchBrowser(chromiumPath ?? ''),
    ]);
    api = createClient({ url: target.api_url, token: target.token });
    await registerAll(
      api,
      Array.from({ length: SCOOTERS }, (_, index) => ({
        ...{ kind: 'scooter' as const, external_id: idOf(index), version: index % 2 === 0 ? (1 as const) : (2 as const) },
      })),
    );
  }, 300_000);
  afterAll(async () => {
    await browser?.close();
    await target?.stop();
  });
  afterEach(async () => {
    const complaints = opened.flatMap((each) => each.complaints());
    for (const each of opened.splice(0)) await each.close();
    expect(complaints).toEqual([]);
  });

  const open = async (options: Parameters<typeof openConsole>[2] = {}): Promise<ConsolePage> => {
    const console = await openConsole(browser, target.api_url, options);
    opened.push(console);
    return console;
  };
  /** The console as somebody else sees it. */
  const openAs = async (subject: string, scopes?: readonly string[]): Promise<ConsolePage> => {
    const console = await open();
    const token = await target.tokenFor({ subject, ...(scopes && { scopes }) });
    const answer = { access_token: token, token_type: 'bearer', ...(scopes && { scope: scopes.join(' ') }) };
    await console.page.route('**/token', (route) => route.fulfill({ json: answer }));
    await console.page.reload();
    await console.page.getByText(subject, { exact: true }).waitFor();
    return console;
  };
  const upload = (hardware_type: string, version: string) =>
    uploadFirmware(api, { hardware_type, version, comment: 'end to end' }, new Blob([new Uint8Array(randomBytes(5_000))]));
  /** What simulated devices do from now on. */
  const behave = (behaviour: Record<string, unknown>) =>
    fetch(`${target.simulator_url}/simulator/behaviour`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${target.simulator_token}`, 'content-type': 'application/json' },
      body: JSON.stringify(behaviour),
    });
  /** One device a minute: there is time to press buttons. */
  const startSlowUpdate = async (version: string) => {
    const { id } = await upload('vega_mcu', version);
    const targets = { filter: { kind: 'scooter' as const } };
    return startUpdate(api, { firmware_id: id, targets, rollout: { maximum_per_minute: 1 }, canary: null, comment: 'slowly' });
  };

  it('the main job by hand: upload, choose, look at who takes part, start, watch, pause, resume, cancel, try again', async () => {
    await behave({ failure_rate: 1 });
    const { page } = await open({ at: '/firmwares' });
    await page
      .getByLabel('Drop firmware files here, or choose them')
      .setInputFiles({ name: 'vega_mcu-1.5.0.bin', mimeType: 'application/octet-stream', buffer: randomBytes(200_000) });
    const row = page.getByRole('form', { name: 'vega_mcu-1.5.0.bin' });
    await row.waitFor();
    expect(await row.getByLabel('Version').inputValue()).toBe('1.5.0');
    expect(await row.getByLabel('Hardware type').inputValue()).toBe('vega_mcu');
    await row.getByRole('button', { name: 'Upload' }).click();
    await row.getByRole('link', { name: 'Update with this' }).click();

    await page.getByText(`${SCOOTERS} scooters would be updated`).waitFor();
    await page.getByLabel('Asked a minute, at most').fill('10');
    await page.getByLabel('Further tries').fill('0');
    await page.getByText(`Updates ${SCOOTERS} scooters to vega_mcu 1.5.0, at most 10 a minute; stops when 10 % have failed.`).waitFor();
    await page.getByRole('button', { name: `Update ${SCOOTERS} scooters` }).click();

    await page.getByText('Devices are being asked, up to 10 a minute.').waitFor();
    expect(await page.title()).toMatch(/^\d+% – #\d+ · scooters-updater$/);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText(/^\d+ devices that wait are not asked until you resume\. \d+ at work finish\.$/).waitFor();
    await page.getByRole('textbox', { name: 'Why' }).fill('just looking');
    await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click();
    await page.getByText(/^Paused: just looking\./).waitFor();
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Resume' }).click();
    await page.getByText('Devices are being asked, up to 10 a minute.').waitFor();
    await page.getByRole('button', { name: /^Failed [1-9]/ }).waitFor();
    await behave({ failure_rate: 0 });
    await page.getByRole('button', { name: 'Cancel update' }).click();
    await page.getByText(/^\d+ devices that wait are never asked\./).waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel update' }).click();
    await page.getByText(/^Canceled\. 0 of 40 devices succeeded\.$/).waitFor();
    const first = page.url();
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByText(/^A new update with the same settings, for \d+ devices? that failed/).waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Try again' }).click();
    await page.waitForURL((url) => /#\/updates\/\d+$/.test(url.href) && url.href !== first);
    await page.getByText('Tries again').waitFor();
    await api.cancelUpdate(Number(page.url().split('/').at(-1)), { force: true });
  });

  it('of several files each goes its own way: one looks wrong, one fails and is sent again by hand, one is canceled', async () => {
    const { page } = await open({ at: '/firmwares' });
    const file = (version: string, buffer = randomBytes(3_000)) => ({
      ...{ name: `audio_unlock-${version}.bin`, mimeType: 'application/octet-stream', buffer },
    });
    await page
      .getByLabel('Drop firmware files here, or choose them')
      .setInputFiles([file('1.0'), file('1.1', Buffer.from('<!DOCTYPE html><title>Log in</title>')), file('1.2')]);
    const row = (version: string) => page.getByRole('form', { name: `audio_unlock-${version}.bin` });
    await row('1.1').getByText('Is this the right file? It looks like a web page, perhaps of a login.').waitFor();

    const storage = (url: URL) => url.href.includes(target.s3.bucket);
    await page.route(storage, (route) => route.abort());
    await row('1.0').getByRole('button', { name: 'Upload' }).click();
    await row('1.0').getByRole('alert').waitFor();
    await page.unroute(storage);
    await row('1.0').getByRole('button', { name: 'Try again' }).click();
    await row('1.0').getByText('Available').waitFor();

    await page.route(storage, () => {}); // an answer never comes
    await row('1.2').getByRole('button', { name: 'Upload' }).click();
    await row('1.2').getByText('Uploading').waitFor();
    await row('1.2').getByRole('button', { name: 'Cancel' }).click();
    await row('1.2').getByText('Canceled').waitFor();
    await row('1.2').getByRole('button', { name: 'Try again' }).waitFor();
    await row('1.2').getByRole('button', { name: 'Remove from this list' }).click();
    await row('1.2').waitFor({ state: 'detached' });
  });

  it('a new update is made by keyboard alone', async () => {
    await upload('vega_gsm', '4.0.0');
    const { page } = await open({ at: '/updates' });
    await tabTo(page, 'New update');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'New update' }).waitFor();
    await tabTo(page, 'Hardware type');
    await page.keyboard.type('vega_gsm');
    await tabTo(page, 'Version');
    await page.keyboard.type('4.0.0');
    await tabTo(page, 'By filter');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await tabTo(page, 'Ids');
    await page.keyboard.type('S-00001, S-00002 S-99999');
    await page.getByText('2 scooters would be updated').waitFor();
    await page.getByText('1 are not registered').waitFor();
    await tabTo(page, 'Update 2 scooters');
    await page.keyboard.press('Enter');
    await page.waitForURL(/#\/updates\/\d+$/);
    await page.getByText(/2 of 3 devices chosen take part/).waitFor();
  });

  it('what the fleet’s list finds becomes a group, and an update takes that group', async () => {
    const { id } = await upload('vega_mcu', '1.5.5');
    const { page } = await open({ at: '/fleet?kind=scooter&generation=2' });
    await page.getByLabel('Id begins with').fill('S-0001');
    await page.waitForURL(/id=S-0001/);
    await page.getByRole('link', { name: 'Save as group' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('scooters, ids beginning with S-0001, generation 2').waitFor();
    await dialog.getByText(/· 5 now/).waitFor();
    await dialog.getByLabel('Name').fill('tens');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('link', { name: 'tens' }).click();
    await page.getByText('5 devices are in it now').waitFor();
    await page.getByRole('link', { name: 'Update this group' }).click();
    await page.getByLabel('Hardware type').selectOption('vega_mcu');
    await page.getByLabel('Version', { exact: true }).selectOption(String(id));
    await page.getByText('Updates 5 scooters of group tens to vega_mcu 1.5.5').waitFor();
    await page.getByRole('button', { name: 'Update 5 scooters' }).click();
    await page.waitForURL(/#\/updates\/\d+$/);
    await api.cancelUpdate(Number(page.url().split('/').at(-1)), { force: true });

    await page.goto(`${target.api_url}/console#/audit?resource=group&id=tens`);
    await page.getByText('Group: added').waitFor();
    await page.goto(`${target.api_url}/console#/groups/tens`);
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.waitForURL(/#\/groups$/);
    await page.getByText('There is no group yet.').waitFor();
  });

  it('a list is sorted by the heading of a column, and the address says so', async () => {
    for (const version of ['8.0', '8.1']) await upload('audio_locate', version);
    const { page, show } = await open({ at: '/firmwares?hardware_type=audio_locate' });
    const versions = () => page.getByRole('group', { name: 'Firmware' }).locator('tbody td:nth-child(2)').allTextContents();
    await expect.poll(versions).toEqual(['8.1', '8.0']);
    await page.getByRole('button', { name: 'Version' }).click();
    await page.waitForURL(/sort=version_num_ascending/);
    await expect.poll(versions).toEqual(['8.0', '8.1']);
    expect(await page.getByRole('columnheader', { name: 'Version' }).getAttribute('aria-sort')).toBe('ascending');
    await show('/fleet?kind=scooter&sort=external_id_descending');
    await page.getByText(`${SCOOTERS} devices found.`).waitFor();
    expect(await page.getByRole('group', { name: 'Fleet' }).locator('tbody a').first().textContent()).toBe(idOf(SCOOTERS - 1));
  });

  it('a device is changed, retired and taken back, and its story tells it', async () => {
    await api.registerDevices({ devices: [{ kind: 'scooter', external_id: 'OLD-1', version: 1 }] });
    const { page } = await open({ at: '/fleet/scooter/OLD-1' });
    await page.getByRole('button', { name: 'Change' }).click();
    await page.getByRole('dialog').getByLabel('Tags').fill('workshop');
    await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
    await page.getByText('workshop').first().waitFor();
    await page.getByRole('button', { name: 'Retire' }).click();
    await page.getByText('no update takes it in').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Retire' }).click();
    await page.getByRole('button', { name: 'Take back into service' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Take back into service' }).click();
    await page.getByRole('button', { name: 'Retire' }).waitFor();
    const story = page.locator('.story');
    await expect.poll(() => story.locator('.of-change').count()).toBeGreaterThanOrEqual(3);
    expect(await story.textContent()).toContain('workshop');
    // One scooter more, and updates of all would have to be approved.
    await api.changeDevice('scooter', 'OLD-1', { retired: true });
  });

  it('a package is made of firmwares in an order of one’s own', async () => {
    await upload('vega_mcu', '7.0');
    await upload('vega_gsm', '7.1');
    const { page } = await open({ at: '/packages' });
    await page.getByRole('link', { name: 'New package' }).first().click();
    await page.getByText('Choose the hardware type of the package first.').waitFor();
    await page.getByLabel('Hardware type').selectOption('cabinet');
    await page.getByLabel('Version').fill('2026.11');
    await page.getByRole('button', { name: 'Another part' }).click();
    const part = (number: number) => page.getByRole('group', { name: `Part ${number}` });
    await part(1).getByLabel('Firmware').selectOption({ label: 'vega_gsm 7.1' });
    await part(2).getByLabel('Firmware').selectOption({ label: 'vega_mcu 7.0' });
    expect(await part(2).getByLabel('Firmware').locator('option', { hasText: 'vega_gsm' }).count()).toBe(0);
    await page.getByRole('button', { name: 'Move part 2 up' }).click();
    await page.getByText('Makes cabinet 2026.11 of 2 firmwares, signed.').waitFor();
    await page.getByRole('button', { name: 'Make this package' }).click();
    const row = page.getByRole('row', { name: /cabinet 2026\.11/ });
    await row.getByText('Ready').waitFor();
    expect(await row.locator('.version').allTextContents()).toEqual(['vega_mcu 7.0', 'vega_gsm 7.1']);
  });

  it('a firmware that awaits its signature says what it waits for', async () => {
    await api.changeHardwareType('audio_battery_low', { author_signatures_required: 2 });
    const { page } = await open({ at: '/firmwares' });
    await page
      .getByLabel('Drop firmware files here, or choose them')
      .setInputFiles({ name: 'audio_battery_low-9.0.bin', mimeType: 'application/octet-stream', buffer: randomBytes(3_000) });
    const row = page.getByRole('form', { name: 'audio_battery_low-9.0.bin' });
    await row.getByRole('button', { name: 'Upload' }).click();
    await row.getByText('Awaits a signature').waitFor();
    expect(await row.getByRole('link', { name: 'Update with this' }).count()).toBe(0);
    await row.getByRole('link', { name: 'Look at it' }).click();
    await page.getByText('Nobody can be updated to it yet: audio_battery_low needs 2 authors to sign, and nobody has.').waitFor();
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.waitForURL(/#\/firmwares$/);
    await expect.poll(() => page.getByRole('link', { name: '9.0', exact: true }).count()).toBe(0);
  });

  it('a part of the bar filters the devices, and the address says so', async () => {
    const { id } = await startSlowUpdate('1.6.0');
    const { page } = await open({ at: `/updates/${id}` });
    await page
      .getByRole('list', { name: 'Show the devices of one status' })
      .getByRole('button', { name: /^Waiting/ })
      .click();
    await page.waitForURL(/status=QUEUED/);
    await page.getByRole('link', { name: 'S-00040' }).waitFor();
    const statuses = await page.getByRole('group', { name: 'Devices' }).locator('tbody td:nth-child(2)').allTextContents();
    expect(new Set(statuses)).toEqual(new Set(['Waiting']));
    await api.cancelUpdate(id, { force: true });
  });

  it('the pictures of an update say what its numbers say', async () => {
    const { id } = await startSlowUpdate('1.6.5');
    const { page, show } = await open();
    const counts = { QUEUED: 10, IN_PROGRESS: 5, SUCCEEDED: 20, FAILED: 5, TIMED_OUT: 0, REJECTED: 0, CANCELED: 0, REMOVED: 0 };
    const update = await api.getUpdate(id);
    await page.route(`**/v1/updates/${id}`, (route) => route.fulfill({ json: { ...update, counts, started_dt: update.created_dt } }));
    const point = (minute: number, SUCCEEDED: number) => ({
      dt: `2026-11-26T12:0${minute}:00Z`,
      counts: { ...counts, QUEUED: 40 - SUCCEEDED, IN_PROGRESS: 0, SUCCEEDED, FAILED: 0 },
    });
    await page.route(`**/v1/updates/${id}/timeline?**`, (route) =>
      route.fulfill({ json: { points: [point(0, 0), point(1, 10), point(2, 40)] } }),
    );
    await show(`/updates/${id}`);

    const bar = page
      .getByRole('img', { name: '20 succeeded, 5 at work, 10 waiting, 5 failed' })
      .or(page.getByRole('img', { name: '10 waiting, 5 at work, 20 succeeded, 5 failed' }));
    const parts = await bar
      .locator('rect:not(.track)')
      .evaluateAll((rects) => rects.map((rect) => [rect.getAttribute('class'), rect.getAttribute('x'), rect.getAttribute('width')]));
    expect(parts).toEqual([
      ['fill-succeeded', '0', '50'],
      ['fill-in_progress', '50', '12.5'],
      ['fill-queued', '62.5', '25'],
      ['fill-failed', '87.5', '12.5'],
    ]);
    const chart = page.getByRole('img', { name: 'How many devices were in each status, from the start until now' });
    expect(await chart.locator('path.area').evaluateAll((paths) => paths.map((path) => path.getAttribute('class')))).toEqual([
      'area fill-succeeded',
      'area fill-queued',
    ]);
    // From nothing at the bottom (168) to all at the top (8): the waiting ones lie on those that succeeded.
    const [left, middle, right] = [48, 524, 1000];
    const heights = await chart.locator('path.area').evaluateAll((paths) => paths.map((path) => path.getAttribute('d')));
    expect(heights).toEqual([
      `M${left},168L${middle},128L${right},8L${right},168L${middle},168L${left},168Z`,
      `M${left},8L${middle},8L${right},8L${right},8L${middle},128L${left},168Z`,
    ]);
    await page.getByText('The same as a table').click();
    expect(await page.locator('.numbers tbody tr').allTextContents()).toEqual([
      expect.stringMatching(/13:00:00.*040$/),
      expect.stringMatching(/13:01:00.*1030$/),
      expect.stringMatching(/13:02:00.*400$/),
    ]);
    await api.cancelUpdate(id, { force: true });
  });

  it('two admins at once: the second pause changes nothing, and a resume after a cancel says what is so', async () => {
    const { id } = await startSlowUpdate('1.7.0');
    const [one, two] = [(await open({ at: `/updates/${id}` })).page, (await open({ at: `/updates/${id}` })).page];
    for (const page of [one, two]) await page.getByRole('button', { name: 'Pause' }).click();
    for (const page of [one, two]) await page.getByRole('dialog').getByRole('button', { name: 'Pause' }).click();
    for (const page of [one, two]) await page.locator('.situation', { hasText: /^Paused\./ }).waitFor();
    await one.getByRole('button', { name: 'Resume' }).click();
    await two.getByRole('button', { name: 'Cancel update' }).click();
    await two.getByRole('dialog').getByRole('button', { name: 'Cancel update' }).click();
    await two.locator('.situation', { hasText: /^Canceled/ }).waitFor();
    await one.getByRole('dialog').getByRole('button', { name: 'Resume' }).click();
    const failure = one.getByRole('dialog').getByRole('alert');
    await failure.getByText('update.ended').waitFor();
    expect(await failure.textContent()).toMatch(/Request [\w-]{8,}/);
  });

  it('who has requested an update cannot approve it; somebody else can, and says so with a remark; or rejects it', async () => {
    const cabinets = Array.from({ length: SCOOTERS + 1 }, (_, index) => ({ kind: 'cabinet' as const, external_id: `A-${index + 1}` }));
    await registerAll(api, cabinets);
    const { id: firmware } = await upload('cabinet', '3.0');
    const requester = await open({ at: `/updates/new?firmware=${firmware}&kind=cabinet&id=A-` });
    const request = async (): Promise<number> => {
      await requester.page.getByRole('button', { name: `Ask for approval to update ${SCOOTERS + 1} cabinets` }).click();
      await requester.page.waitForURL(/#\/updates\/\d+$/);
      return Number(requester.page.url().split('/').at(-1));
    };
    const first = await request();
    await requester.page.getByText('Waits until somebody else than local-engineer approves it.').waitFor();
    expect(await requester.page.getByRole('button', { name: 'Approve' }).isDisabled()).toBe(true);
    await requester.page.getByText('You have requested it: somebody else has to decide.').waitFor();
    await expect(api.approveUpdate(first, { remark: '' })).rejects.toMatchObject({ status: 403, code: 'approval.second_person' });

    const second = await openAs('head-of-fleet');
    await second.show(`/updates/${first}`);
    await second.page.getByRole('button', { name: 'Approve' }).click();
    const dialog = second.page.getByRole('dialog');
    await dialog.getByText(`It begins at once, for ${SCOOTERS + 1} devices. Requested by local-engineer.`).waitFor();
    await dialog.getByLabel('Remark').fill('looked at it');
    await dialog.getByRole('button', { name: 'Approve' }).click();
    await second.page.getByText('approved by head-of-fleet: looked at it').waitFor();
    await second.page.getByRole('button', { name: 'Pause' }).waitFor();
    await api.cancelUpdate(first, { force: true });

    await requester.show(`/updates/new?firmware=${firmware}&kind=cabinet&id=A-`);
    const other = await request();
    await second.show(`/updates/${other}`);
    await second.page.getByRole('button', { name: 'Reject' }).click();
    const reject = dialog.getByRole('button', { name: 'Reject' });
    expect(await reject.isDisabled()).toBe(true);
    await dialog.getByLabel('Remark').fill('not before Friday');
    await reject.click();
    await second.page.getByText('rejected by head-of-fleet: not before Friday').waitFor();
    await second.page
      .locator('.situation', { hasText: /^Canceled: not approved: not before Friday\. 0 of 41 devices succeeded\.$/ })
      .waitFor();
  });

  it('of those who would be updated exactly so many are taken, the first ones by id', async () => {
    const { id } = await upload('vega_mcu', '1.7.7');
    const { page } = await open({ at: `/updates/new?firmware=${id}&kind=scooter&generation=2` });
    await page.getByText('20 scooters would be updated').waitFor();
    await page.getByLabel('Only so many of them').fill('20');
    expect(await page.getByRole('button', { name: 'Choose the first 20' }).isDisabled()).toBe(true);
    await page.getByLabel('Only so many of them').fill('3');
    await page.getByRole('button', { name: 'Choose the first 3' }).click();
    expect(await page.getByLabel('Ids', { exact: true }).inputValue()).toBe('S-00002\nS-00004\nS-00006');
    await page.getByText('Updates 3 scooters to vega_mcu 1.7.7').waitFor();
  });

  it('an update that stays open says so when its devices are done, and takes in one that comes to match', async () => {
    const { id: firmware } = await upload('audio_unlock', '5.0');
    await api.changeDevice('scooter', idOf(0), { tags: ['open'] });
    const { page } = await open({ at: `/updates/new?firmware=${firmware}&kind=scooter&tags=open` });
    await page.getByLabel('Stays open until somebody ends it').check();
    await page.getByText('Updates 1 scooter, and those that come to match later, to audio_unlock 5.0').waitFor();
    // It may become large: so it is approved, however few devices it has now.
    await page.getByRole('button', { name: 'Ask for approval to update 1 scooter' }).click();
    await page.waitForURL(/#\/updates\/\d+$/);
    const id = Number(page.url().split('/').at(-1));
    const second = createClient({ url: target.api_url, token: await target.tokenFor({ subject: 'head-of-fleet' }) });
    await second.approveUpdate(id, { remark: '' });
    const rests = page.locator('.situation', { hasText: 'Stays open: it waits for devices that come to match' });
    await rests.waitFor();
    await page.getByText('1 of 1 device have ended').waitFor();

    await api.changeDevice('scooter', idOf(1), { tags: ['open'] });
    await expect.poll(async () => (await api.getUpdate(id)).counts.SUCCEEDED, { timeout: 180_000 }).toBe(2);
    await page.reload();
    await page.getByText('2 of 2 devices have ended').waitFor();
    await rests.waitFor();
    await api.cancelUpdate(id, { force: true });
  }, 300_000);

  it('a firmware for some revisions says so, and an update takes devices over that wait in an older one', async () => {
    const older = await startSlowUpdate('1.7.9');
    await expect.poll(async () => (await api.getUpdate(older.id)).counts.QUEUED).toBeLessThanOrEqual(SCOOTERS);
    const { page } = await open({ at: '/firmwares' });
    await page
      .getByLabel('Drop firmware files here, or choose them')
      .setInputFiles({ name: 'vega_mcu-1.8.5.bin', mimeType: 'application/octet-stream', buffer: randomBytes(3_000) });
    const row = page.getByRole('form', { name: 'vega_mcu-1.8.5.bin' });
    await row.getByLabel('Only on revisions').fill('A B');
    await row.getByRole('button', { name: 'Upload' }).click();
    await row.getByRole('link', { name: 'Look at it' }).click();
    await page.getByText('A, B', { exact: true }).waitFor();

    const { id: firmware } = await upload('vega_mcu', '1.8.6');
    await page.goto(`${target.api_url}/console#/updates/new?firmware=${firmware}&kind=scooter&id=S-0004`);
    await page.getByText('1 are in another update now').waitFor();
    await page.getByLabel('devices that still wait in older updates').check();
    await page.getByText(`1 device leaves update #${older.id}`).waitFor();
    await page.getByRole('button', { name: 'Update 1 scooter' }).click();
    await page.waitForURL(/#\/updates\/\d+$/);
    const id = Number(page.url().split('/').at(-1));
    await page.goto(`${target.api_url}/console#/updates/${older.id}?status=CANCELED`);
    await page.getByText(`Taken over by update #${id}`).first().waitFor();
    for (const each of [older.id, id]) await api.cancelUpdate(each, { force: true });
  });

  it('a zone is deleted when nobody is in it, and what keeps it is said before', async () => {
    await api.addZone({ name: 'harbour', time_zone: 'Europe/Berlin' });
    await api.registerDevices({ devices: [{ kind: 'scooter', external_id: 'Z-1', version: 1, zone: 'harbour' }] });
    const { page, show } = await open({ at: '/zones' });
    const remove = page.getByRole('button', { name: 'Delete zone harbour?' });
    const dialog = page.getByRole('dialog');
    const act = dialog.getByRole('button', { name: 'Delete' });
    await remove.click();
    await dialog.getByText('1 device is in it, and a zone goes only when nobody is.').waitFor();
    expect(await act.isDisabled()).toBe(true);
    await dialog.getByRole('link', { name: 'Who is in it' }).click();
    await page.getByRole('link', { name: 'Z-1' }).waitFor();

    // Retired devices are not counted, and keep their zone.
    await api.changeDevice('scooter', 'Z-1', { retired: true });
    await show('/zones');
    await remove.click();
    await dialog.getByText('No device is in it.').waitFor();
    await act.click();
    await dialog.getByRole('alert').getByText('zone.in_use').waitFor();
    await api.changeDevice('scooter', 'Z-1', { zone: null });
    await act.click();
    await page.getByText('There is no zone yet.').waitFor();
  });

  it('what the service refuses is told in its words, with the id by which its operators find the request', async () => {
    const { page } = await open({ at: '/updates/999999' });
    const failure = page.getByRole('alert');
    await failure.getByText('There is no update 999999').waitFor();
    await failure.getByText('update.not_found').waitFor();
    expect(await failure.textContent()).toMatch(/Request [\w-]{8,}/);
    await failure.getByRole('button', { name: 'Try again' }).waitFor();
  });

  it('a button that is pressed without a connection says so, changes nothing, and works when it is pressed again', async () => {
    const { id } = await startSlowUpdate('1.7.8');
    const { page } = await open({ at: `/updates/${id}` });
    await page.getByRole('button', { name: 'Pause' }).click();
    const pause = page.getByRole('dialog').getByRole('button', { name: 'Pause' });
    await page.context().setOffline(true);
    await pause.click();
    await page.getByRole('dialog').getByRole('alert').waitFor();
    expect((await api.getUpdate(id)).status).toBe('IN_PROGRESS');
    await page.context().setOffline(false);
    await pause.click();
    await page.locator('.situation', { hasText: /^Paused\./ }).waitFor();
    await api.cancelUpdate(id, { force: true });
  });

  it('a connection that is lost is told, and what is seen goes on by itself when it is back', async () => {
    const { page } = await open({ at: '/' });
    const isLost = page.getByText('The service cannot be reached just now.');
    await page.context().setOffline(true);
    await isLost.waitFor();
    expect(await page.getByRole('heading', { name: 'Running now' }).isVisible()).toBe(true);
    await page.context().setOffline(false);
    await isLost.waitFor({ state: 'hidden' });
  });

  it('a token that ends in the middle is renewed unseen; where that fails, logging in leads back to the same place', async () => {
    const { page, show } = await open({ at: '/fleet?kind=scooter' });
    const refusal = {
      ...{ status: 401, contentType: 'application/problem+json' },
      body: JSON.stringify({ code: 'auth.invalid_token', detail: 'The token has expired', status: 401 }),
    };
    let refusals = 0;
    await page.route('**/v1/updates**', (route) => {
      refusals += 1;
      return refusals === 1 ? route.fulfill(refusal) : route.fallback();
    });
    const renewed = page.waitForResponse((response) => response.url().endsWith('/token'));
    await show('/updates');
    expect((await renewed).status()).toBe(200);
    await page.getByRole('link', { name: /^#\d+/ }).first().waitFor();
    expect(refusals).toBeGreaterThan(1);

    await page.unrouteAll();
    await page.route('**/token', (route) => route.fulfill({ status: 400, json: { error: 'invalid_grant' } }));
    await page.route('**/v1/devices**', (route) => route.fulfill(refusal));
    await show('/fleet?kind=scooter&id=S-0003');
    await page.getByText('Your login has ended.').first().waitFor();
    await page.unrouteAll();
    await page.getByRole('button', { name: 'Log in again' }).click();
    await page.getByRole('link', { name: 'S-00031' }).waitFor();
    expect(page.url()).toContain('#/fleet?kind=scooter&id=S-0003');
    expect(await page.evaluate('JSON.stringify({ ...localStorage, ...sessionStorage })')).not.toMatch(/eyJ|token/);
  });

  it('a button whose scope somebody lacks is off, and says which', async () => {
    const { id } = await startSlowUpdate('1.8.0');
    const { page, show } = await openAs('reader', ['read']);
    await show(`/updates/${id}`);
    const pause = page.getByRole('button', { name: 'Pause' });
    await pause.waitFor();
    expect(await pause.isDisabled()).toBe(true);
    await page.getByText('Your login lacks the scope updates:write.').first().waitFor();
    await api.cancelUpdate(id, { force: true });
  });

  it('of a fleet of 100,000 a page is shown, and the next one when it is asked for', async () => {
    const cabinets = Array.from({ length: CABINETS }, (_, index) => ({ kind: 'cabinet' as const, external_id: `C-${index + 1}` }));
    await registerAll(api, cabinets);
    const { page } = await open({ at: '/fleet?kind=cabinet' });
    const rows = page.getByRole('group', { name: 'Fleet' }).locator('tbody tr');
    await rows.first().waitFor();
    expect(await rows.count()).toBe(50);
    await page.getByRole('button', { name: 'Show more' }).click();
    await expect.poll(() => rows.count()).toBe(100);
    await page.getByLabel('Id begins with').fill('C-99999');
    await page.waitForURL(/id=C-99999/);
    await expect.poll(() => rows.count()).toBe(1);
  }, 240_000);

  describe('every page', () => {
    let places: string[];
    beforeAll(async () => {
      const firmware = await upload('audio_lock', '2.0');
      const targets = { external_ids: [idOf(1), idOf(3), 'S-99999'] };
      const update = await startUpdate(api, { firmware_id: firmware.id, targets, canary: null });
      await api.addGroup({ name: 'odd', filter: { kind: 'scooter', version: 1 } });
      await api.addZone({ name: 'centre', time_zone: 'Europe/Berlin' });
      places = [
        ...['/', '/updates', '/updates?status=COMPLETED', `/updates/${update.id}`, `/updates/new?firmware=${firmware.id}`],
        ...[
          '/firmwares',
          `/firmwares/${firmware.id}`,
          '/packages',
          '/packages/new',
          '/groups',
          '/groups/odd',
          '/zones',
          '/audit',
          '/fleet',
          `/fleet/scooter/${idOf(1)}`,
          '/statistics',
          '/nowhere',
          '/updates/999999',
          '/updates/new',
          '/fleet?kind=scooter&id=NOBODY',
        ],
      ];
    }, 120_000);

    it.each(['light', 'dark'] as const)(
      'in %s colours has no barrier that axe finds, with a dialog open too',
      async (colorScheme) => {
        const { page, show } = await open({ colorScheme });
        for (const place of places) {
          await show(place);
          expect(await findBarriers(page), place).toEqual([]);
        }
        await show(places.find((place) => /firmwares\/\d/.test(place)) ?? '');
        await page.getByRole('button', { name: 'Withdraw' }).click();
        expect(await findBarriers(page), 'with a dialog').toEqual([]);
        await show('/groups?new=true');
        await page.getByText('More conditions').last().click();
        expect(await findBarriers(page), 'with the dialog of a group').toEqual([]);
        await show('/zones');
        await page.getByRole('button', { name: 'Delete zone centre?' }).click();
        expect(await findBarriers(page), 'with a zone to be deleted').toEqual([]);
        await page.getByRole('dialog').getByRole('button', { name: 'Leave it' }).click();
        await page.getByRole('button', { name: 'Log out' }).click();
        await page.getByText('You are logged out of the console.').waitFor();
        expect(await findBarriers(page), 'logged out').toEqual([]);
      },
      300_000,
    );

    it.each([390, 1280])('fits into %i pixels', async (width) => {
      const { page, show } = await open({ viewport: { width, height: 800 } });
      for (const place of places) {
        await show(place);
        await expectNoSidewaysScrolling(page, place);
      }
    });
  });

  it('the first page is there with a handful of requests, and none of them leaves the service and its issuer', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const requests: string[] = [];
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(`${target.api_url}/console`);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await page.locator('.loading').first().waitFor({ state: 'detached' });
    await context.close();
    const origins = new Set(requests.filter((url) => url.startsWith('http')).map((url) => new URL(url).origin));
    expect([...origins].toSorted()).toEqual([new URL(target.api_url).origin, target.issuer].toSorted());
    expect(requests.filter((url) => /\/console\/.+\.(js|css)$/.test(url)).length).toBeLessThanOrEqual(4);
  });
});
