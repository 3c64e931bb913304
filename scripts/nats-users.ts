import { type NatsUser, natsUsers } from '@carillon/events'

/** How long a request may wait for its answer: longer than anything here does. */
const ANSWER_WITHIN = '5m'

/** The variable of nats-server's environment that holds a user's password, or the bcrypt hash of it. */
export function passwordVariable(user: string): string {
  return `${user.replaceAll('-', '_').toUpperCase()}_PASSWORD`
}

/** deploy/nats/accounts.conf: one account, its users, and what each may do. */
export function accountsConf(users: readonly NatsUser[] = natsUsers): string {
  return `# Made by \`npm run docs\` from packages/events/src/nats-access.ts. One account, and a user for everybody who connects,
# each with the least that it needs. Passwords, or their bcrypt hashes, come from nats-server's environment.
accounts {
  CARILLON {
    jetstream: enabled
    users: [
${users.map(userConf).join('\n')}
    ]
  }
  # What the servers say of themselves.
  SYS {
    users: [{ user: monitor, password: $MONITOR_PASSWORD }]
  }
}
system_account: SYS
`
}

function userConf({ name, summary, publish, subscribe, answers }: NatsUser): string {
  return `      # ${summary}.
      {
        user: ${name}, password: $${passwordVariable(name)}
        permissions: {
          publish: { allow: ${list(publish)} }
          subscribe: { allow: ${list(subscribe)} }${answers ? `\n          allow_responses: { max: 1, expires: "${ANSWER_WITHIN}" }` : ''}
        }
      }`
}

function list(subjects: readonly string[]): string {
  return `[\n${subjects.map((subject) => `            "${subject}"`).join('\n')}\n          ]`
}
