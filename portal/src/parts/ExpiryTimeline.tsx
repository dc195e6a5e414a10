import { Loader, Text, useMantineTheme, VisuallyHidden } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Bar, BarChart, CartesianGrid, Legend, ResponsiveContainer, Tooltip, XAxis, YAxis } from "recharts";
import { data, inventory } from "../api";
import { Failure } from "./Failure";

const WEEK = 7;
/** There is no room for 80,000 beside the chart. */
const compact = new Intl.NumberFormat("en", { notation: "compact" });

/** What ends and what is renewed, week by week. */
export function ExpiryTimeline() {
  const theme = useMantineTheme();
  const asked = useQuery({
    queryKey: ["forecast", 91],
    queryFn: () => data(inventory.GET("/v1/forecast", { params: { query: { days: 91 } } })),
    refetchInterval: 60_000,
  });
  if (asked.error) {
    return <Failure error={asked.error} />;
  }
  // An empty chart would say that nothing ends.
  if (asked.isPending) {
    return <Loader size="sm" aria-label="Loading" />;
  }
  const { days } = asked.data;
  const weeks = [];
  for (let first = 0; first < days.length; first += WEEK) {
    const of = days.slice(first, first + WEEK);
    weeks.push({
      week: of[0]?.day.slice(5) ?? "",
      "ends, by hand": of.reduce((sum, day) => sum + day.by_hand, 0),
      "renewed by itself": of.reduce((sum, day) => sum + day.renewals, 0),
    });
  }
  if (weeks.every((each) => !each["ends, by hand"] && !each["renewed by itself"])) {
    return <Text size="sm">Nothing ends or is renewed within 90 days.</Text>;
  }
  return (
    <>
      <div aria-hidden="true">
        <ResponsiveContainer width="100%" height={220}>
          <BarChart data={weeks} accessibilityLayer={false} margin={{ left: -18, right: 4, top: 4 }}>
            <CartesianGrid strokeDasharray="3 3" vertical={false} strokeOpacity={0.3} />
            <XAxis dataKey="week" fontSize={12} />
            <YAxis allowDecimals={false} fontSize={12} tickFormatter={compact.format} />
            <Tooltip
              contentStyle={{
                background: "var(--mantine-color-body)",
                borderColor: "var(--mantine-color-default-border)",
              }}
            />
            <Legend />
            <Bar
              dataKey="ends, by hand"
              stackId="week"
              fill={theme.colors.red[6]}
              isAnimationActive={false}
            />
            <Bar
              dataKey="renewed by itself"
              stackId="week"
              fill={theme.colors.teal[6]}
              isAnimationActive={false}
            />
          </BarChart>
        </ResponsiveContainer>
      </div>
      <VisuallyHidden>
        <table>
          <caption>Expiries and renewals by week</caption>
          <tbody>
            {weeks.map((each) => (
              <tr key={each.week}>
                <th scope="row">{each.week}</th>
                <td>{each["ends, by hand"]} by hand</td>
                <td>{each["renewed by itself"]} renewed</td>
              </tr>
            ))}
          </tbody>
        </table>
      </VisuallyHidden>
    </>
  );
}
