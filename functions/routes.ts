import type { Route } from '../lib/http/route.ts';
import {
  addAuthorKeyRoute,
  approveAuthorKeyRoute,
  getAuthorRootRoute,
  listAuthorKeysRoute,
  listAuthorRootsRoute,
  publishAuthorRootRoute,
  revokeAuthorKeyRoute,
} from './author-keys/routes.ts';
import { confirmUpdateRoute } from './confirm-update/routes.ts';
import { consoleAssetRoute, consoleRoute } from './console/routes.ts';
import {
  approveUpdateRoute,
  cancelUpdateRoute,
  changePaceRoute,
  pauseUpdateRoute,
  rejectUpdateRoute,
  resumeUpdateRoute,
} from './control-update/routes.ts';
import { docsAssetRoute, docsRoute, openapiRoute } from './docs/routes.ts';
import { deleteFirmwareRoute, editFirmwareRoute } from './edit-firmware/routes.ts';
import {
  addGroupRoute,
  addZoneRoute,
  changeDeviceRoute,
  changeGroupRoute,
  changeZoneRoute,
  deleteGroupRoute,
  deleteZoneRoute,
  tagDevicesRoute,
} from './edit-fleet/routes.ts';
import { addHardwareTypeRoute, changeHardwareTypeRoute, deleteHardwareTypeRoute } from './edit-hardware-type/routes.ts';
import { getAssemblyRoute, listAssembliesRoute } from './get-assemblies/routes.ts';
import { getCabinetRoute, getScooterRoute, lookUpDevicesRoute } from './get-device-versions/routes.ts';
import { getGroupRoute, getZoneRoute, listAuditRoute, listGroupDevicesRoute, listGroupsRoute, listZonesRoute } from './get-fleet/routes.ts';
import { getKeysRoute, getManifestRoute } from './get-manifest/routes.ts';
import { getObservationRoute, listObservationsRoute } from './get-observations/routes.ts';
import { getStatsRoute, getVersionDaysRoute } from './get-stats/routes.ts';
import {
  getTimelineRoute,
  getUpdateRoute,
  listCabinetUpdatesRoute,
  listExclusionsRoute,
  listExecutionsRoute,
  listScooterUpdatesRoute,
  listUpdatesRoute,
} from './get-updates/routes.ts';
import { getFirmwareRoute, listFirmwaresRoute, listHardwareTypesRoute } from './get-versions/routes.ts';
import { healthRoute } from './health/routes.ts';
import { configDataRoute } from './iot-config-data/routes.ts';
import { getCancelActionRoute, getDeploymentRoute, getInstalledBaseRoute } from './iot-deployment/routes.ts';
import { downloadRoute, probeDownloadRoute } from './iot-download/routes.ts';
import { cancelFeedbackRoute, deploymentFeedbackRoute } from './iot-feedback/routes.ts';
import { pollRoute } from './iot-poll/routes.ts';
import { issueDeviceTokenRoute } from './issue-device-token/routes.ts';
import { listDevicesRoute } from './list-devices/routes.ts';
import { cancelObservationRoute, observeVersionsRoute, resumeObservationRoute } from './observe-versions/routes.ts';
import { registerDevicesRoute } from './register-devices/routes.ts';
import { requestAssemblyRoute } from './request-assembly/routes.ts';
import { requestUpdateRoute } from './request-update/routes.ts';
import { retryUpdateRoute } from './retry-update/routes.ts';
import { signFirmwareRoute } from './sign-firmware/routes.ts';
import { uploadFirmwareRoute } from './upload-firmware/routes.ts';

/** Every route of the API, in the order in which the document shows them. */
export const routes: readonly Route[] = [
  listHardwareTypesRoute,
  addHardwareTypeRoute,
  changeHardwareTypeRoute,
  deleteHardwareTypeRoute,
  uploadFirmwareRoute,
  listFirmwaresRoute,
  getFirmwareRoute,
  editFirmwareRoute,
  deleteFirmwareRoute,
  signFirmwareRoute,
  getManifestRoute,
  getKeysRoute,
  addAuthorKeyRoute,
  listAuthorKeysRoute,
  approveAuthorKeyRoute,
  revokeAuthorKeyRoute,
  publishAuthorRootRoute,
  listAuthorRootsRoute,
  getAuthorRootRoute,
  requestAssemblyRoute,
  listAssembliesRoute,
  getAssemblyRoute,
  registerDevicesRoute,
  issueDeviceTokenRoute,
  listDevicesRoute,
  getScooterRoute,
  getCabinetRoute,
  lookUpDevicesRoute,
  changeDeviceRoute,
  tagDevicesRoute,
  listZonesRoute,
  addZoneRoute,
  getZoneRoute,
  changeZoneRoute,
  deleteZoneRoute,
  listGroupsRoute,
  addGroupRoute,
  getGroupRoute,
  listGroupDevicesRoute,
  changeGroupRoute,
  deleteGroupRoute,
  observeVersionsRoute,
  resumeObservationRoute,
  cancelObservationRoute,
  listObservationsRoute,
  getObservationRoute,
  requestUpdateRoute,
  listUpdatesRoute,
  getUpdateRoute,
  getTimelineRoute,
  listExecutionsRoute,
  listExclusionsRoute,
  cancelUpdateRoute,
  pauseUpdateRoute,
  resumeUpdateRoute,
  approveUpdateRoute,
  rejectUpdateRoute,
  changePaceRoute,
  retryUpdateRoute,
  listScooterUpdatesRoute,
  listCabinetUpdatesRoute,
  confirmUpdateRoute,
  pollRoute,
  configDataRoute,
  getDeploymentRoute,
  downloadRoute,
  probeDownloadRoute,
  deploymentFeedbackRoute,
  getCancelActionRoute,
  cancelFeedbackRoute,
  getInstalledBaseRoute,
  listAuditRoute,
  getStatsRoute,
  getVersionDaysRoute,
  healthRoute,
  openapiRoute,
  docsRoute,
  docsAssetRoute,
  consoleRoute,
  consoleAssetRoute,
];
