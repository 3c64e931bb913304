/** Instances that live but have not answered: what is shown may not be all. */
export function Unanswered({ instances }: { instances: readonly string[] }) {
  if (instances.length === 0) return null
  return <p class="alert">No answer in time from {instances.join(', ')}: there may be more.</p>
}
