import { DatabaseConfig, DeviceAccessConfig, loadConfig, StorageConfig } from '../../lib/config.ts';
import { createDeviceDeps } from '../../lib/ddi/device-deps.ts';
import { createS3Storage } from '../../lib/ports/s3-storage.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...DatabaseConfig, ...DeviceAccessConfig, ...StorageConfig }, process.env);
const deps = createDeviceDeps(config);

export const handler = createHandler({ ...deps, storage: createS3Storage({ bucket: config.FIRMWARE_BUCKET, now: deps.now }) });
