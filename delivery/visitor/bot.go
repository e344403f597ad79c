package visitor

// Bot tells whether a user agent calls itself a crawler: one of the words below,
// standing alone or at a word's end ("Googlebot", "bingbot/2.0").
//
// Only what admits to be one is caught here. A tool such as curl is not: whoever
// calls a tracking URL with it holds a signed token of a decision, and automation
// that pretends to be a browser is the business of a stricter filter.
func Bot(userAgent []byte) bool {
	text := clip(userAgent)
	for i := range text {
		c := text[i] | 0x20
		if c != 'b' && c != 'c' && c != 's' && c != 'f' && c != 'm' {
			continue
		}
		for _, word := range crawlers {
			if c == word[0] && hasWord(text, i, word) {
				return true
			}
		}
	}
	return false
}

var crawlers = [...]string{"bot", "crawler", "spider", "slurp", "facebookexternalhit", "mediapartners-google"}

// hasWord tells whether word stands at text[i:], whatever the case, and no
// letter follows. "Cubot" is a maker of phones.
func hasWord(text []byte, i int, word string) bool {
	if len(text)-i < len(word) {
		return false
	}
	for j := range len(word) {
		if text[i+j]|0x20 != word[j] {
			return false
		}
	}
	if end := i + len(word); end < len(text) && isLetter(text[end]) {
		return false
	}
	return !(word == "bot" && i >= 2 && text[i-2]|0x20 == 'c' && text[i-1]|0x20 == 'u' && (i == 2 || !isLetter(text[i-3])))
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// Prefetch tells whether a request was made ahead of the visitor's wish, by the
// values of Sec-Purpose, Purpose and X-Moz: nobody has seen anything yet.
func Prefetch(secPurpose, purpose, xMoz []byte) bool {
	return hasPrefix(secPurpose, "prefetch") || hasPrefix(purpose, "prefetch") ||
		hasPrefix(purpose, "preview") || hasPrefix(xMoz, "prefetch")
}

func hasPrefix(text []byte, prefix string) bool {
	return len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix
}
