import { im } from '@carillon/codec'

export const Code = im.ResponseBody.Code

/** Why a request is not done, in the words and with the code that the client gets. */
export class Refusal extends Error {
  readonly code: im.ResponseBody.Code

  constructor(code: im.ResponseBody.Code, reason: string) {
    super(reason)
    this.code = code
  }
}

/** The request breaks the protocol's rules: asking again does not help. */
export const badRequest = (reason: string) => new Refusal(Code.RequestError, reason)
/** The user may not do this. */
export const forbidden = (reason: string) => new Refusal(Code.AuthError, reason)
/** It could not be done now; the same request may be sent again, and nothing is done twice. */
export const tryAgain = (reason: string) => new Refusal(Code.RetryError, reason)
