/** The session's cookie. Browsers take one named `__Host-` only over https, for this host and the whole of it. */
export class SessionCookie {
  readonly #name: string
  readonly #attributes: string

  constructor(secure: boolean) {
    this.#name = secure ? '__Host-carillon_console' : 'carillon_console'
    this.#attributes = `Path=/; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`
  }

  /** The session's id in a request, if there is one that could be. */
  read(header: string | undefined): string | undefined {
    for (const part of header?.split(';') ?? []) {
      const at = part.indexOf('=')
      if (at > 0 && part.slice(0, at).trim() === this.#name) {
        const id = part.slice(at + 1).trim()
        return /^[\w-]{43}$/.test(id) ? id : undefined
      }
    }
    return undefined
  }

  set(id: string, maxAgeMs: number): string {
    return `${this.#name}=${id}; ${this.#attributes}; Max-Age=${Math.max(1, Math.floor(maxAgeMs / 1_000))}`
  }

  clear(): string {
    return `${this.#name}=; ${this.#attributes}; Max-Age=0`
  }
}
