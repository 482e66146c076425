import { randomBytes } from 'node:crypto';
import { generateArchiveKey, openArchive, type Archive, type JWKInterface } from '#services/archive.js';
import { startGateway, temporaryFolder, type GatewayProcess } from '../local/gatewayProcess.js';
import { endGatewaysBetween, startGatewayBetween, type GatewayBetween } from './gatewayBetween.js';

/** A real gateway with an archive in front of it, and the ways in which tests disturb them. */
export class ArchiveParts {
  readonly archive: Archive;

  private constructor(
    readonly folder: string,
    public gateway: GatewayProcess,
    readonly key: JWKInterface,
  ) {
    this.archive = openArchive({ gateways: [gateway.url], key });
  }

  static async start(): Promise<ArchiveParts> {
    const folder = await temporaryFolder();
    const [gateway, key] = await Promise.all([startGateway(folder), generateArchiveKey()]);
    return new ArchiveParts(folder, gateway, key);
  }

  /** An archive that gives up soon. */
  hasty(...gateways: { url: string }[]): Archive {
    return openArchive({ gateways: gateways.map(({ url }) => url), key: this.key, patienceMs: 300 });
  }

  gatewayBetween(): Promise<GatewayBetween> {
    return startGatewayBetween(this.gateway.url);
  }

  /** A gateway that was there a moment ago. */
  async nobody(): Promise<{ url: string }> {
    const gone = await this.gatewayBetween();
    await endGatewaysBetween();
    return gone;
  }

  async read(id: string, from = this.archive): Promise<Buffer> {
    return Buffer.from(await from.get(id));
  }
}

/** Tags that no other test uses. */
export function unique(): Record<string, string> {
  return { 'App-Name': 'Roundtable', Test: randomBytes(8).toString('hex') };
}
