// What updates are made of, in the console: firmwares, packages, devices, groups and zones.
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { registerAll } from '../../../clients/api/src/index.ts';
import { describeConsole, idOf, SCOOTERS } from '../../support/console-service.ts';

/** More than any page shows at once. */
const CABINETS = 100_000;

describeConsole('the console: fleet and firmwares', (service) => {
  const { open, upload } = service;

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

    const storage = (url: URL) => url.href.includes(service.target.s3.bucket);
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
    await service.api.changeHardwareType('audio_battery_low', { author_signatures_required: 2 });
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
    await service.api.cancelUpdate(Number(page.url().split('/').at(-1)), { force: true });

    await page.goto(`${service.target.api_url}/console#/audit?resource=group&id=tens`);
    await page.getByText('Group: added').waitFor();
    await page.goto(`${service.target.api_url}/console#/groups/tens`);
    await page.getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.waitForURL(/#\/groups$/);
    await page.getByText('There is no group yet.').waitFor();
  });

  it('a device is changed, retired and taken back, and its story tells it', async () => {
    await service.api.registerDevices({ devices: [{ kind: 'scooter', external_id: 'OLD-1', version: 1 }] });
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
    await service.api.changeDevice('scooter', 'OLD-1', { retired: true });
  });

  it('a zone is deleted when nobody is in it, and what keeps it is said before', async () => {
    await service.api.addZone({ name: 'harbour', time_zone: 'Europe/Berlin' });
    await service.api.registerDevices({ devices: [{ kind: 'scooter', external_id: 'Z-1', version: 1, zone: 'harbour' }] });
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
    await service.api.changeDevice('scooter', 'Z-1', { retired: true });
    await show('/zones');
    await remove.click();
    await dialog.getByText('No device is in it.').waitFor();
    await act.click();
    await dialog.getByRole('alert').getByText('zone.in_use').waitFor();
    await service.api.changeDevice('scooter', 'Z-1', { zone: null });
    await act.click();
    await page.getByText('There is no zone yet.').waitFor();
  });

  it('of a fleet of 100,000 a page is shown, and the next one when it is asked for', async () => {
    const cabinets = Array.from({ length: CABINETS }, (_, index) => ({ kind: 'cabinet' as const, external_id: `C-${index + 1}` }));
    await registerAll(service.api, cabinets);
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
});
