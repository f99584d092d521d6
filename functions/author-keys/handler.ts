import { actorOf } from '../../lib/audit/actor.ts';
import { listAuthorKeys } from '../../lib/authors/author-key-queries.ts';
import { addAuthorKey, approveAuthorKey, type EditAuthorKeysDeps, revokeAuthorKey } from '../../lib/authors/edit-author-keys.ts';
import { getRoot, publishRoot } from '../../lib/authors/publish-root.ts';
import { listRoots } from '../../lib/authors/root-queries.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import {
  addAuthorKeyRoute,
  approveAuthorKeyRoute,
  getAuthorRootRoute,
  listAuthorKeysRoute,
  listAuthorRootsRoute,
  publishAuthorRootRoute,
  revokeAuthorKeyRoute,
} from './routes.ts';

export const createHandler = (deps: HttpDeps & EditAuthorKeysDeps) =>
  endpoint(
    operation(deps, addAuthorKeyRoute, async (request, caller) => {
      const { isNew, answer } = await addAuthorKey(deps, request.body, actorOf(request, caller));
      return json(isNew ? 201 : 200, answer);
    }),
    operation(deps, listAuthorKeysRoute, async ({ query }) => json(200, await listAuthorKeys(deps.db, query))),
    operation(deps, approveAuthorKeyRoute, async (request, caller) =>
      json(200, await approveAuthorKey(deps, request.path.id, actorOf(request, caller))),
    ),
    operation(deps, revokeAuthorKeyRoute, async (request, caller) =>
      json(200, await revokeAuthorKey(deps, request.path.id, request.body.reason, actorOf(request, caller))),
    ),
    operation(deps, publishAuthorRootRoute, async (request, caller) => {
      const { isNew, answer } = await publishRoot(deps, request.path.version, request.body, actorOf(request, caller));
      return json(isNew ? 201 : 200, answer);
    }),
    operation(deps, listAuthorRootsRoute, async ({ query }) => json(200, await listRoots(deps.db, query))),
    operation(deps, getAuthorRootRoute, async ({ path }) => json(200, await getRoot(deps.db, path.version))),
  );
