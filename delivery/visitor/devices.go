package visitor

import (
	"bytes"
	"hash/maphash"

	"github.com/hayate-ads/hayate/internal/event"
)

// device is what all visitors ask with who say the same of it, as queries ask it.
type device struct {
	lengths lengths // of what they say, in said one behind the other
	said    []byte
	kind    event.DeviceType
	bot     bool
	parts
}

// lengths are those of the user agent and the eleven texts of others, in bytes.
type lengths [11]uint16

// maxSaid is how much of what a visitor says of its device is remembered, in bytes.
const maxSaid = 2048

// devices remembers devices: to read one costs more than all else that a query
// asks of a visitor.
type devices struct {
	cache cache[device]
	seed  maphash.Seed // nobody outside can tell which ones share a slot
}

// others is what is said of a device besides the user agent.
func others(h *Hints, a *App) [10][]byte {
	return [...][]byte{
		h.Brands, h.Mobile, h.Platform, h.PlatformVersion, h.Model, h.FullVersions, a.Make, a.Model, a.OS, a.OSVersion,
	}
}

// device is the visitor's, remembered or read. It stays as it is until the
// visitor is reset or described again.
func (r *Reader) device(v *Visitor) *device {
	h, a := &v.Hints, &v.App
	agent := clip(h.UserAgent)
	beside := len(h.Brands) + len(h.Mobile) + len(h.Platform) + len(h.PlatformVersion) + len(h.Model) + len(h.FullVersions) +
		len(a.Make) + len(a.Model) + len(a.OS) + len(a.OSVersion)
	if len(agent)+beside > maxSaid {
		return v.memory().device.read(h, a)
	}
	key := maphash.Bytes(r.devices.seed, agent)
	if beside > 0 {
		key = r.devices.with(key, h, a)
	}
	slot := r.devices.cache.at(key)
	if kept := slot.kept.Load(); kept != nil && kept.is(agent, beside, h, a) {
		return kept
	}
	if !slot.again(key) {
		return v.memory().device.read(h, a)
	}
	d := new(device).read(h, a)
	d.keep(agent, h, a)
	slot.kept.Store(d)
	return d
}

// with mixes what is said beside the user agent into its hash: browsers of one
// user agent are told apart by their hints.
func (m *devices) with(key uint64, h *Hints, a *App) uint64 {
	for i, text := range others(h, a) {
		if len(text) > 0 {
			key = (key ^ maphash.Bytes(m.seed, text) + uint64(i)) * 0xd6e8feb86659fd93
		}
	}
	return key
}

// read makes d a device that is said so to be.
func (d *device) read(h *Hints, a *App) *device {
	found := readDevice(h, a)
	d.kind, d.bot = found.kind, found.bot
	d.reset()
	found.spell(&d.parts)
	return d
}

// keep notes what is said of d, in memory that outlives the request.
func (d *device) keep(agent []byte, h *Hints, a *App) {
	d.lengths[0], d.said = uint16(len(agent)), append(d.said, agent...)
	for i, text := range others(h, a) {
		d.lengths[1+i], d.said = uint16(len(text)), append(d.said, text...)
	}
}

// is tells whether d is a device of which that is said.
func (d *device) is(agent []byte, beside int, h *Hints, a *App) bool {
	at := int(d.lengths[0])
	if len(d.said) != len(agent)+beside || at != len(agent) || !bytes.Equal(d.said[:at], agent) {
		return false
	}
	if beside == 0 {
		return true
	}
	for i, text := range others(h, a) {
		n := int(d.lengths[1+i])
		if n != len(text) || !bytes.Equal(d.said[at:at+n], text) {
			return false
		}
		at += n
	}
	return true
}
