import { useEffect, useState } from 'react';

const pauseMilliseconds = 400;

/** The same value, once it has not changed for a moment: so that not every letter is a request. */
export const useSettled = <Value>(value: Value): Value => {
  const [settled, setSettled] = useState(value);
  const text = JSON.stringify(value);
  // biome-ignore lint/correctness/useExhaustiveDependencies: equal values are the same
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), pauseMilliseconds);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
};
