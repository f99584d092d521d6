interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

/**
 * All items of a list, page by page as they are asked for.
 *
 * @param list asks for the page at a cursor; the first page has none.
 * @example
 * for await (const device of all((cursor) => client.listDevices({ kind: 'scooter', ...cursor }))) …
 */
export async function* all<Item>(
  list: (cursor: { cursor?: string; limit: number }) => Promise<Page<Item>>,
  limit = 500,
): AsyncGenerator<Item> {
  let cursor: string | null = null;
  do {
    const page: Page<Item> = await list({ limit, ...(cursor !== null && { cursor }) });
    yield* page.items;
    cursor = page.next_cursor;
  } while (cursor !== null);
}
