import { Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { data, inventory } from "../api";
import { placeOf } from "../words";

/** A place of which the id alone is known: where that is, as soon as it is told. */
export function PlaceName({ id }: { id: string }) {
  const asked = useQuery({
    queryKey: ["place-name", id],
    queryFn: () =>
      data(inventory.GET("/v1/places/{place_id}/assessment", { params: { path: { place_id: id } } })),
    staleTime: Number.POSITIVE_INFINITY,
    refetchInterval: false,
  });
  return (
    <Text size="sm" miw={140} className="breaks" title={id}>
      {asked.data ? placeOf(asked.data.place) : `${id.slice(0, 16)}…`}
    </Text>
  );
}
