// serverless.yml as data, with the files that it includes. Values that only a deploy knows stay text: `${param:…}`, `AdvancesQueue.Arn`.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

export interface Statement {
  Effect: 'Allow' | 'Deny';
  Action: string | string[];
  Resource: string | string[];
  Condition?: unknown;
}
export interface Resource {
  Type: string;
  // biome-ignore lint/suspicious/noExplicitAny: whoever asks for a type of resource knows its properties
  Properties?: any;
}
export interface SqsEvent {
  arn: string;
  batchSize?: number;
  maximumConcurrency?: number;
  maximumBatchingWindow?: number;
  functionResponseType?: string;
  enabled?: boolean;
}
export interface FunctionEntry {
  handler: string;
  package?: { patterns: string[] };
  role?: string;
  memorySize?: number;
  timeout?: number;
  reservedConcurrency?: number;
  recursiveLoop?: 'Allow' | 'Terminate';
  environment?: Record<string, string>;
  events?: { http?: { method: string; path: string }; sqs?: SqsEvent; schedule?: unknown }[];
}
export interface ServerlessFile {
  service: string;
  provider: { environment?: Record<string, string> };
  /** By stage. */
  params: Record<string, Record<string, unknown>>;
  functions: Record<string, FunctionEntry>;
  resources: Record<string, Resource>;
}

const SERVERLESS_FILE = fileURLToPath(new URL('../serverless.yml', import.meta.url));

/** `${file(path)}` or `${file(path):key}`, as a whole value. */
const inclusion = /^\$\{file\(([^)$]+\.yml)\)(?::([\w.]+))?\}$/;

/** Throws when an included file or key is not there. Files that are chosen by a parameter, or are programs, are left out. */
export function readServerlessFile(file = SERVERLESS_FILE): ServerlessFile {
  const directory = dirname(file);
  // CloudFormation's short forms are unknown tags and read as their plain value: `!GetAtt Queue.Arn` is "Queue.Arn".
  const read = (path: string): unknown => parse(readFileSync(path, 'utf8'), { merge: true, logLevel: 'error' });
  const resolve = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(resolve);
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item)]));
    const [, path, key] = (typeof value === 'string' && inclusion.exec(value)) || [];
    if (path === undefined) return value;
    const whole = read(join(directory, path));
    const part = key?.split('.').reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], whole) ?? whole;
    if (part === undefined || (key !== undefined && part === whole)) throw new Error(`${path} has no ${key}`);
    return resolve(part);
  };
  const yaml = resolve(read(file)) as Partial<Omit<ServerlessFile, 'resources'>> & { resources?: unknown };
  const parts = [yaml.resources ?? []].flat() as { Resources?: Record<string, Resource> }[];
  return {
    service: yaml.service ?? '',
    provider: yaml.provider ?? {},
    params: yaml.params ?? {},
    functions: yaml.functions ?? {},
    resources: Object.assign({}, ...parts.map(({ Resources }) => Resources ?? {})),
  };
}
