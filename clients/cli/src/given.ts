type Given<Fields> = { [Field in keyof Fields]?: Exclude<Fields[Field], undefined> };

/** Without what was not said. */
export const given = <Fields extends object>(fields: Fields): Given<Fields> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<Fields>;
