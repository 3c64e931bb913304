import { signal } from '@preact/signals'

export const views = ['overview', 'look-up', 'settings', 'publish', 'try-it', 'audit'] as const
export type View = (typeof views)[number]

/** The part of the page that is shown stands in the URL's fragment, and nothing else does. */
export const view = signal<View>(read())

addEventListener('hashchange', () => {
  view.value = read()
})

function read(): View {
  const name = location.hash.slice(1)
  return views.find((each) => each === name) ?? 'overview'
}
