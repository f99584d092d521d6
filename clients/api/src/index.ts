export { lookUpAll, registerAll } from './chunks.ts';
export { type Client, createClient } from './client.ts';
export type * from './generated.ts';
export { all } from './paging.ts';
export { ApiProblem, ApiUnreachable } from './problem.ts';
export { type Connection, type RequestOptions, request, wait } from './request.ts';
export { planUpdate, startUpdate, type UpdateRequest } from './start-update.ts';
export { type UploadOptions, type UploadProgress, UploadRefused, uploadFirmware } from './upload.ts';
export { watchUpdate } from './watch-update.ts';
