/** A round as a table seen from above: a seat for each runner, filled when its update was counted. */
export type Seat = 'there' | 'asked' | 'missing';

export function Seats({ seats, size = 26 }: { seats: readonly Seat[]; size?: number }) {
  const there = seats.filter((seat) => seat === 'there').length;
  const words = `${there} of ${seats.length} there`;
  // Beyond this many seats would touch; then the numbers say it.
  if (seats.length > 14)
    return (
      <span class="seats many">
        {there}/{seats.length}
      </span>
    );
  const radius = size / 2;
  const seat = Math.min(3.4, (radius * 2) / Math.max(4, seats.length));
  return (
    <svg
      class="seats"
      width={size}
      height={size}
      viewBox={`0 0 ${size} ${size}`}
      role="img"
      aria-label={words}
    >
      <title>{words}</title>
      <circle class="top" cx={radius} cy={radius} r={radius * 0.42} />
      {seats.map((state, i) => {
        const angle = (2 * Math.PI * (i + 0.5)) / seats.length - Math.PI / 2;
        const reach = radius - seat - 0.8;
        return (
          <circle
            key={i}
            class={state}
            cx={radius + reach * Math.cos(angle)}
            cy={radius + reach * Math.sin(angle)}
            r={state === 'missing' ? seat - 0.6 : seat}
          />
        );
      })}
    </svg>
  );
}
