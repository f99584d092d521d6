/** A front wheel, and the firmware that goes up into it. */
export const Wordmark = () => (
  <svg className="wordmark" viewBox="0 0 176 28" width="176" height="28" role="img" aria-label="scooters-updater">
    <g className="mark">
      <circle cx="14" cy="14" r="11.5" />
      <path d="M14 20V9M9.5 13.2 14 8.7l4.5 4.5" />
    </g>
    <text x="33" y="13.5" className="first">
      scooters
    </text>
    <text x="33" y="25" className="second">
      updater
    </text>
  </svg>
);
