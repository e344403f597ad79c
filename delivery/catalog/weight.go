package catalog

import "sort"

// PeersWeight is the sum of the weights of the peers [from, to), as [Catalog.Peers]
// returns them.
func (c *Catalog) PeersWeight(from, to int) uint64 {
	return uint64(c.LineItems[to-1].ahead) + uint64(c.LineItems[to-1].Weight) - uint64(c.LineItems[from].ahead)
}

// PeerAt is the line item in whose weight a share of [Catalog.PeersWeight] falls:
// evenly drawn shares, from 0 up to below that, meet every peer as often as its
// weight says.
func (c *Catalog) PeerAt(from, to int, share uint64) int {
	share += uint64(c.LineItems[from].ahead)
	return from + sort.Search(to-from-1, func(i int) bool { return uint64(c.LineItems[from+i+1].ahead) > share })
}
