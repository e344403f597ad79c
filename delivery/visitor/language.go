package visitor

import "bytes"

// maxLanguages is how many entries of Accept-Language are looked at: browsers
// send six at most.
const maxLanguages = 16

// language is the ISO 639-1 code of the language that an Accept-Language value
// (RFC 9110, 12.5.4) or a single tag ("ja-JP") prefers: of those with the highest
// weight the first that has such a code. ok is false when none has.
func language(header []byte) (code [2]byte, ok bool) {
	// Nothing weighs more than a first entry without a weight, as nearly all have it.
	end := 0
	for end < len(header) && header[end] != ',' && header[end] != ';' {
		end++
	}
	if end == len(header) || header[end] == ',' {
		if code, ok = primary(header[:end]); ok {
			return code, ok
		}
	}
	best := -1
	for range maxLanguages {
		entry, rest, more := bytes.Cut(header, []byte{','})
		tag, parameters, _ := bytes.Cut(entry, []byte{';'})
		if found, is := primary(tag); is {
			if q := weight(parameters); q > best && q > 0 {
				code, best, ok = found, q, true
			}
		}
		if !more {
			break
		}
		header = rest
	}
	return code, ok
}

// primary is a tag's first subtag, where that has two letters. Three codes are
// still sent by their names of before 1989.
func primary(tag []byte) (code [2]byte, ok bool) {
	tag = bytes.TrimSpace(tag)
	if len(tag) < 2 || len(tag) > 2 && tag[2] != '-' && tag[2] != '_' {
		return code, false
	}
	code = [2]byte{tag[0] | 0x20, tag[1] | 0x20}
	if !isLetter(tag[0]) || !isLetter(tag[1]) {
		return code, false
	}
	switch string(code[:]) {
	case "iw":
		code = [2]byte{'h', 'e'}
	case "in":
		code = [2]byte{'i', 'd'}
	case "ji":
		code = [2]byte{'y', 'i'}
	}
	return code, true
}

// weight reads "q=0.8" as thousandths; 1000 where there is none, and 0 for what
// cannot be read.
func weight(parameters []byte) int {
	text := bytes.TrimSpace(parameters)
	if len(text) == 0 {
		return 1000
	}
	if len(text) < 3 || text[0]|0x20 != 'q' || text[1] != '=' {
		return 0
	}
	whole, fraction, _ := bytes.Cut(text[2:], []byte{'.'})
	switch {
	case string(whole) == "1":
		return 1000
	case string(whole) != "0" || len(fraction) > 3:
		return 0
	}
	q := 0
	for i := range 3 {
		q *= 10
		if i < len(fraction) {
			if fraction[i] < '0' || fraction[i] > '9' {
				return 0
			}
			q += int(fraction[i] - '0')
		}
	}
	return q
}
