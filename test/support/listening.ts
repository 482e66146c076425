import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Addresses of the sockets on which a process listens, as the kernel's tables have them (Linux). */
export function listeningAddresses(pid: number): string[] {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return []; // closed meanwhile
      }
    }),
  );
  return ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , state, , , , , , inode]) => state === '0A' && inodes.has(inode ?? ''))
      .map(([, local]) => dotted(local?.split(':')[0] ?? '')),
  );
}

/** The kernel writes IPv4 addresses as little-endian hex; anything longer is IPv6 and shown as it is. */
function dotted(hex: string): string {
  return hex.length === 8
    ? (hex.match(/../g) ?? [])
        .toReversed()
        .map((byte) => parseInt(byte, 16))
        .join('.')
    : hex;
}
