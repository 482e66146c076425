declare module '@20minutes/s3rver' {
  /** Only what local/emulators/s3/main.ts uses; the package has no types of its own. */
  export default class S3rver {
    constructor(options: { address: string; port: number; directory: string; silent: boolean });
    run(): Promise<{ address: string; port: number }>;
  }
}
