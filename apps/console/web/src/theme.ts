import { effect, signal } from '@preact/signals'

export type Theme = 'light' | 'dark'

const KEY = 'carillon-console-theme'
const prefersDark = matchMedia('(prefers-color-scheme: dark)')

/** Undefined: as the system has it. */
const chosen = signal<Theme | undefined>(stored())
const system = signal<Theme>(prefersDark.matches ? 'dark' : 'light')
prefersDark.addEventListener('change', () => {
  system.value = prefersDark.matches ? 'dark' : 'light'
})

export const currentTheme = (): Theme => chosen.value ?? system.value

export function toggleTheme(): void {
  const next = currentTheme() === 'dark' ? 'light' : 'dark'
  chosen.value = next
  try {
    localStorage.setItem(KEY, next)
  } catch {
    // Storage may be forbidden: the choice then lasts as long as the page.
  }
}

effect(() => {
  document.documentElement.dataset.theme = currentTheme()
})

function stored(): Theme | undefined {
  try {
    const value = localStorage.getItem(KEY)
    return value === 'light' || value === 'dark' ? value : undefined
  } catch {
    return undefined
  }
}
