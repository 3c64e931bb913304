import type { Bus } from '@carillon/bus'
import type { Command } from 'commander'
import { readFleetState } from './fleet/fleet-state.ts'

/** Writes one line to the terminal. */
export type Print = (line: string) => void

/**
 * What the tool and `npm start` know of one service: everything that is particular to it stands in its own file
 * in `services/`. A large dependency of one service is imported where it is used (`await import(…)`), so that it
 * delays nobody else's commands.
 */
export interface ServiceInfo {
  /** The name of its folder in `apps/`, of its announcements and of its settings. */
  readonly name: string
  /** Its short name in the tool's commands, and what clients ask discovery for. */
  readonly alias: string
  readonly admin: PortInfo
  /** Undefined for a service that nobody connects to. */
  readonly listen?: PortInfo & { readonly protocol: 'ws' | 'http' }
  /** Undefined for a service whose clients need no credentials, or that has none. */
  readonly client?: ClientInfo
  /** `demo <alias>`. */
  readonly demo?: DemoInfo
  /**
   * Events that `publish` publishes differently, by the name they are published by. All JSON channels of
   * the contract can be published without being named here.
   */
  readonly publish?: Readonly<Record<string, PublishInfo>>
  /** Adds commands of its own, such as `device put`. */
  addCommands?(tool: Command, print: Print): void
  /** What `npm start` prints to try by copy and paste, besides how to connect. */
  examples(context: ExampleContext): readonly Example[]
}

export interface PortInfo {
  readonly variable: string
  /** Where the variable is not set. */
  readonly port: number
}

/** An option of a command, as commander takes it. */
export interface OptionInfo {
  /** `--key <key>` */
  readonly flags: string
  readonly description: string
  readonly default?: string
}

/** The values of a service's own options, by their camel-cased names. */
export type OptionValues = Readonly<Record<string, string | undefined>>

/** Whom a credential is for. */
export interface CredentialRequest {
  readonly user: string
  readonly ttlSeconds: number
  readonly options: OptionValues
  /** Where the secrets are: services read the same variables. */
  readonly env: NodeJS.ProcessEnv
}

/** How clients of a service prove who they are, and connect. */
export interface ClientInfo {
  /** What `token` prints, in words: "a JSON Web Token". */
  readonly credential: string
  /** Who the user in examples is, and the default of `connect --user`. */
  readonly exampleUser: string
  /** Options of `token` and `connect`, besides `--user` and `--ttl`. */
  readonly options?: readonly OptionInfo[]
  /** @throws {ToolError} where an option makes no sense. */
  createCredential(request: CredentialRequest): string | Promise<string>
  /** The path and query that a client connects to. */
  path(request: CredentialRequest, credential: string): string
  /**
   * A client in the terminal, until its connection ends or the user ends it: prints what comes, sends what is typed.
   * @throws {ToolError} where the server ended it.
   */
  connect(target: ConnectTarget): Promise<void>
}

export interface ConnectTarget {
  readonly request: CredentialRequest
  /** One for each attempt to connect. */
  readonly createCredential: () => string | Promise<string>
  /** Without a path: `ws://127.0.0.1:12029`. */
  readonly baseUrl: string
  readonly print: Print
}

/** A feed to play with. */
export interface DemoInfo {
  readonly description: string
  /** Other names of it. */
  readonly aliases?: readonly string[]
  /** Options besides `--seed` and `--seconds`. */
  readonly options?: readonly OptionInfo[]
  /** Runs until the signal aborts; answers a last line. @throws {ToolError} where an option makes no sense. */
  run(context: DemoContext): Promise<string>
}

export interface DemoContext {
  /** Connected. */
  readonly bus: Bus
  readonly options: OptionValues
  readonly print: Print
  /** Aborts at Ctrl-C, and when `--seconds` are over. */
  readonly signal: AbortSignal
  /** From 0 to 1; the same seed gives the same numbers. */
  readonly random: () => number
}

export interface PublishInfo {
  /** The arguments in words: `<userIds> '<JSON>'`. */
  readonly usage: string
  /** Answers what to print. @throws {ToolError} with `USAGE` where the arguments are not understood. */
  run(bus: Bus, args: readonly string[]): Promise<string>
}

export interface ExampleContext {
  /** `ws://127.0.0.1:12029`; empty for a service that nobody connects to. */
  readonly baseUrl: string
  readonly adminUrl: string
  /** The example user, where the service has clients. */
  readonly user: string
  readonly credential: string
}

export interface Example {
  /** One word: connect, send, publish, ask … */
  readonly label: string
  readonly text: string
}

/** The port a service listens on: by its variable, as the running fleet has it, or by default. */
export function portOf({ variable, port }: PortInfo, env: NodeJS.ProcessEnv = process.env): number {
  return Number(env[variable] || readFleetState()?.ports[variable] || port)
}

/** Where clients of a service on this machine connect, without a path; empty where nobody connects. */
export function baseUrlOf({ listen }: ServiceInfo, env: NodeJS.ProcessEnv = process.env): string {
  return listen ? `${listen.protocol}://${hostOf(env.LISTEN_HOST)}:${portOf(listen, env)}` : ''
}

/** Where the admin port of a service on this machine is. */
export function adminUrlOf({ admin }: ServiceInfo, env: NodeJS.ProcessEnv = process.env): string {
  return `http://${hostOf(env.ADMIN_HOST || env.LISTEN_HOST)}:${portOf(admin, env)}`
}

/** The address to connect to for one that is listened on. */
function hostOf(address: string | undefined): string {
  if (!address || address === '0.0.0.0' || address === '::') return '127.0.0.1'
  return address.includes(':') ? `[${address}]` : address
}
