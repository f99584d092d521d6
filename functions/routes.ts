import type { Route } from '../lib/http/route.ts';
import { confirmUpdateRoute } from './confirm-update/routes.ts';
import { docsAssetRoute, docsRoute, openapiRoute } from './docs/routes.ts';
import { getCabinetRoute, getScooterRoute, lookUpDevicesRoute } from './get-device-versions/routes.ts';
import { getUpdateRoute, listExecutionsRoute, listUpdatesRoute } from './get-updates/routes.ts';
import { getFirmwareRoute, listFirmwaresRoute } from './get-versions/routes.ts';
import { healthRoute } from './health/routes.ts';
import { registerDevicesRoute } from './register-devices/routes.ts';
import { requestUpdateRoute } from './request-update/routes.ts';
import { uploadFirmwareRoute } from './upload-firmware/routes.ts';

/** Every route of the API, in the order in which the document shows them. */
export const routes: readonly Route[] = [
  uploadFirmwareRoute,
  listFirmwaresRoute,
  getFirmwareRoute,
  registerDevicesRoute,
  getScooterRoute,
  getCabinetRoute,
  lookUpDevicesRoute,
  requestUpdateRoute,
  listUpdatesRoute,
  getUpdateRoute,
  listExecutionsRoute,
  confirmUpdateRoute,
  healthRoute,
  openapiRoute,
  docsRoute,
  docsAssetRoute,
];
