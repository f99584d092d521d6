// An update in the console: it is made, approved, watched, steered and ended.
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { createClient, registerAll } from '../../../clients/api/src/index.ts';
import { findBarriers, tabTo } from '../../support/console-page.ts';
import { describeConsole, idOf, SCOOTERS } from '../../support/console-service.ts';

describeConsole('the console: updates', (service) => {
  const { behave, open, openAs, startSlowUpdate, upload } = service;

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
    await service.api.cancelUpdate(Number(page.url().split('/').at(-1)), { force: true });
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
    await registerAll(service.api, cabinets);
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
    await expect(service.api.approveUpdate(first, { remark: '' })).rejects.toMatchObject({ status: 403, code: 'approval.second_person' });

    const second = await openAs('head-of-fleet');
    await second.show(`/updates/${first}`);
    await second.page.getByRole('button', { name: 'Approve' }).click();
    const dialog = second.page.getByRole('dialog');
    await dialog.getByText(`It begins at once, for ${SCOOTERS + 1} devices. Requested by local-engineer.`).waitFor();
    await dialog.getByLabel('Remark').fill('looked at it');
    await dialog.getByRole('button', { name: 'Approve' }).click();
    await second.page.getByText('approved by head-of-fleet: looked at it').waitFor();
    await second.page.getByRole('button', { name: 'Pause' }).waitFor();
    await service.api.cancelUpdate(first, { force: true });

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
    await service.api.changeDevice('scooter', idOf(0), { tags: ['open'] });
    const { page } = await open({ at: `/updates/new?firmware=${firmware}&kind=scooter&tags=open` });
    await page.getByLabel('Stays open until somebody ends it').check();
    await page.getByText('Updates 1 scooter, and those that come to match later, to audio_unlock 5.0').waitFor();
    // It may become large: so it is approved, however few devices it has now.
    await page.getByRole('button', { name: 'Ask for approval to update 1 scooter' }).click();
    await page.waitForURL(/#\/updates\/\d+$/);
    const id = Number(page.url().split('/').at(-1));
    const second = createClient({ url: service.target.api_url, token: await service.target.tokenFor({ subject: 'head-of-fleet' }) });
    await second.approveUpdate(id, { remark: '' });
    const rests = page.locator('.situation', { hasText: 'Stays open: it waits for devices that come to match' });
    await rests.waitFor();
    await page.getByText('1 of 1 device have ended').waitFor();

    await service.api.changeDevice('scooter', idOf(1), { tags: ['open'] });
    await expect.poll(async () => (await service.api.getUpdate(id)).counts.SUCCEEDED, { timeout: 180_000 }).toBe(2);
    await page.reload();
    await page.getByText('2 of 2 devices have ended').waitFor();
    await rests.waitFor();

    const { id: newer } = await upload('audio_unlock', '5.1');
    await page.goto(`${service.target.api_url}/console#/updates/new?firmware=${newer}&kind=scooter&tags=open`);
    await page.getByText('2 scooters would be updated').waitFor();
    expect(await page.getByLabel('Replaces').count()).toBe(0);
    await page.getByLabel('Stays open until somebody ends it').check();
    await page.getByText('Others that are open stay open.').waitFor();
    await page.getByLabel('Replaces').selectOption(`Update ${id} (5.0)`);
    await page.getByText('It ends when this one begins.').waitFor();
    expect(await findBarriers(page)).toEqual([]);
    await page.getByRole('button', { name: 'Ask for approval to update 2 scooters' }).click();
    await page.waitForURL((url) => /#\/updates\/\d+$/.test(url.hash) && !url.hash.endsWith(`/${id}`));
    const successor = Number(page.url().split('/').at(-1));
    await page.getByRole('link', { name: `#${id}` }).waitFor();
    await second.approveUpdate(successor, { remark: '' });
    expect(await service.api.getUpdate(id)).toMatchObject({ status: 'CANCELED', reason: `REPLACED: ${successor}` });
    await service.api.cancelUpdate(successor, { force: true });
  }, 300_000);

  it('a firmware for some revisions says so, and an update takes devices over that wait in an older one', async () => {
    const older = await startSlowUpdate('1.7.9');
    await expect.poll(async () => (await service.api.getUpdate(older.id)).counts.QUEUED).toBeLessThanOrEqual(SCOOTERS);
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
    await page.goto(`${service.target.api_url}/console#/updates/new?firmware=${firmware}&kind=scooter&id=S-0004`);
    await page.getByText('1 are in another update now').waitFor();
    await page.getByLabel('devices that still wait in older updates').check();
    await page.getByText(`1 device leaves update #${older.id}`).waitFor();
    await page.getByRole('button', { name: 'Update 1 scooter' }).click();
    await page.waitForURL(/#\/updates\/\d+$/);
    const id = Number(page.url().split('/').at(-1));
    await page.goto(`${service.target.api_url}/console#/updates/${older.id}?status=CANCELED`);
    await page.getByText(`Taken over by update #${id}`).first().waitFor();
    for (const each of [older.id, id]) await service.api.cancelUpdate(each, { force: true });
  });

  it('a part of the bar filters the devices, and the address says so', async () => {
    const { id } = await startSlowUpdate('1.6.0');
    const { page } = await open({ at: `/updates/${id}` });
    await page
      .getByRole('list', { name: 'Show the devices of one status' })
      .getByRole('button', { name: /^Waiting/ })
      .click();
    await page.waitForURL(/status=QUEUED/);
    // Until the answer is there, the rows of before stay, and say so.
    const devices = page.getByRole('group', { name: 'Devices' });
    const statuses = async () => new Set(await devices.locator('tbody td:nth-child(2)').allTextContents());
    await expect.poll(statuses).toEqual(new Set(['Waiting']));
    await page.getByRole('link', { name: 'S-00040' }).waitFor();
    expect(await devices.getAttribute('aria-busy')).toBe('false');
    await service.api.cancelUpdate(id, { force: true });
  });

  it('while a slow service looks for the devices of a filter, the rows of before say that they are old', async () => {
    const { id } = await startSlowUpdate('1.6.1');
    const { page } = await open({ at: `/updates/${id}` });
    const devices = page.getByRole('group', { name: 'Devices' });
    await page.getByRole('link', { name: 'S-00040' }).waitFor();
    expect(await devices.getAttribute('aria-busy')).toBe('false');
    const { promise: patience, resolve: answer } = Promise.withResolvers<void>();
    await page.route(/\/executions\?.*status=FAILED/, async (route) => {
      await patience;
      await route.continue();
    });
    await page.getByLabel('Status', { exact: true }).selectOption('Failed');
    await expect.poll(() => devices.getAttribute('aria-busy')).toBe('true');
    answer();
    await page.getByText('Nothing matches.').waitFor();
    await service.api.cancelUpdate(id, { force: true });
  });

  it('the pictures of an update say what its numbers say', async () => {
    const { id } = await startSlowUpdate('1.6.5');
    const { page, show } = await open();
    const counts = { QUEUED: 10, IN_PROGRESS: 5, SUCCEEDED: 20, FAILED: 5, TIMED_OUT: 0, REJECTED: 0, CANCELED: 0, REMOVED: 0 };
    const update = await service.api.getUpdate(id);
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
    await service.api.cancelUpdate(id, { force: true });
  });
});
