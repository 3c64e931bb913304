import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import { formatClock } from '../format.ts'
import { history, snapshot } from '../live/live.ts'
import { currentTheme } from '../theme.ts'
import type { PlotInfo } from './plots.ts'

const HEIGHT = 112
const SPAN_S = 900

/** One canvas, redrawn at each snapshot while it can be seen. */
export function Plot({ info, service }: { info: PlotInfo; service: string | undefined }) {
  const holder = useRef<HTMLDivElement>(null)
  const chart = useRef<uPlot>(undefined)
  const visible = useRef(true)
  const theme = currentTheme()

  const columns = info.series.map(({ name }) =>
    history.column(info.service ?? service, name, info.combination),
  )
  const draw = useRef(() => {})
  draw.current = () => {
    if (!visible.current || document.hidden || chart.current === undefined) return
    const now = Math.max((history.at.at(-1) ?? Date.now()) / 1_000, 1)
    const at = history.at.map((ms) => ms / 1_000)
    chart.current.batch(() => {
      chart.current?.setData([at, ...columns] as uPlot.AlignedData, false)
      chart.current?.setScale('x', { min: now - SPAN_S, max: now })
    })
  }

  useEffect(() => {
    const element = holder.current
    if (element === null) return
    const plot = new uPlot(optionsOf(info, element), [[], ...info.series.map(() => [])], element)
    chart.current = plot
    draw.current()
    const resized = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }))
    resized.observe(element)
    const seen = new IntersectionObserver(([entry]) => {
      visible.current = entry?.isIntersecting ?? true
      draw.current()
    })
    seen.observe(element)
    return () => {
      resized.disconnect()
      seen.disconnect()
      plot.destroy()
      chart.current = undefined
    }
  }, [info, theme])
  // At each snapshot, and when another service is chosen.
  useEffect(() => draw.current(), [snapshot.value, service])

  const values = columns.map((column) => info.format(column.at(-1)))
  return (
    <figure class="plot">
      <figcaption>
        <h3>{info.title}</h3>
        {info.unmeasured && columns.every(isEmpty) && <small>{info.unmeasured}</small>}
        <p>
          {info.series.map(({ label }, index) => (
            <span key={label} class={`value series-${index}`}>
              {values[index]} {label && <small>{label}</small>}
            </span>
          ))}
        </p>
      </figcaption>
      <div ref={holder} class="canvas" />
    </figure>
  )
}

const isEmpty = (column: readonly (number | null)[]) => column.every((value) => value === null)

function optionsOf({ series, format, axisFormat, binary }: PlotInfo, element: HTMLElement): uPlot.Options {
  const style = getComputedStyle(element)
  const colour = (name: string) => style.getPropertyValue(name).trim()
  const axis: uPlot.Axis = {
    stroke: colour('--muted'),
    font: `11px ${style.fontFamily}`,
    grid: { stroke: colour('--grid'), width: 1 },
    ticks: { show: false },
  }
  return {
    width: element.clientWidth || 200,
    height: HEIGHT,
    padding: [8, 14, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 5 } },
    scales: {
      x: { time: true },
      // From zero, and never without a height.
      y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.15 : 1] },
    },
    axes: [
      { ...axis, size: 24, gap: 6, space: 44, values: (_plot, splits) => splits.map(minuteOf) },
      {
        ...axis,
        size: 52,
        gap: 4,
        space: 30,
        values: (_plot, splits) => splits.map((value) => axisFormat(value)),
        ...(binary && { incrs: binarySteps }),
      },
    ],
    series: [
      {},
      ...series.map(({ label }, index): uPlot.Series => {
        const stroke = colour(`--series-${index}`)
        return {
          label,
          stroke,
          width: 1.5,
          points: { show: false },
          ...(index === 0 && { fill: colour('--series-fill') }),
        }
      }),
    ],
    hooks: { setCursor: [(plot) => showCursor(plot, series, format)] },
  }
}

/** 1, 2, 5 … would give 3.81 MiB. */
const binarySteps = Array.from({ length: 40 }, (_, exponent) => 2 ** exponent)

const minuteOf = (seconds: number) => formatClock(seconds * 1_000).slice(0, 5)

/** The values under the pointer, as the canvas's title would be for a picture. */
function showCursor(plot: uPlot, series: PlotInfo['series'], format: PlotInfo['format']): void {
  const { idx } = plot.cursor
  const at = idx === null || idx === undefined ? undefined : plot.data[0][idx]
  if (at === undefined) return plot.over.removeAttribute('title')
  const values = series.map(({ label }, index) => `${label} ${format(plot.data[index + 1]?.[idx as number])}`)
  plot.over.title = `${formatClock(at * 1_000)}  ${values.join(', ')}`
}
