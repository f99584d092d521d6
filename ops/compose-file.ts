// localstack-compose.yml as data: which LocalStack and which PostgreSQL, with which settings, at which addresses.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

export interface ComposeService {
  image: string;
  /** `address:port on this machine:port in the container` */
  ports: string[];
  environment: Record<string, string>;
  volumes: string[];
  healthcheck?: { test: string[] };
  depends_on?: Record<string, { condition: string }>;
}
export interface ComposeFile {
  services: { localstack: ComposeService; postgres: ComposeService };
  networks: { default: { name: string } };
}

export const COMPOSE_FILE = fileURLToPath(new URL('../localstack-compose.yml', import.meta.url));

export const readComposeFile = (): ComposeFile => parse(readFileSync(COMPOSE_FILE, 'utf8')) as ComposeFile;

/** The address on this machine of a service that publishes one port. */
const publishedAt = ({ ports }: ComposeService) => (ports[0] ?? '').split(':').slice(0, 2).join(':');

export const localstackAddress = ({ services }: ComposeFile): string => `http://${publishedAt(services.localstack)}`;

/** As this machine sees the database, and as a container of the same network does. */
export function databaseAddresses({ services: { postgres } }: ComposeFile): { url: string; from_functions: string } {
  const { POSTGRES_DB, POSTGRES_USER, POSTGRES_PASSWORD } = postgres.environment;
  const at = (host: string) => `postgres://${POSTGRES_USER}:${POSTGRES_PASSWORD}@${host}/${POSTGRES_DB}`;
  return { url: at(publishedAt(postgres)), from_functions: at(`postgres:${postgres.ports[0]?.split(':').at(-1)}`) };
}
