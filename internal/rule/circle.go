package rule

import (
	"errors"
	"math"
	"strings"
)

// Circle is a place on earth and all that is within a distance of it.
type Circle struct {
	latitude, longitude int32 // millionths of a degree
	metres              int32
	centre              Point
	limit               float64 // square of the chord that is as long as the radius
}

// Point is a place on earth as a vector of length 1 from its middle: distances
// are then compared without trigonometry.
type Point struct{ x, y, z float64 }

// The bounds of a circle, and the earth's mean radius in metres (IUGG, R1): a
// sphere is wrong by half a percent at most, which no targeting notices.
const (
	MinRadius   = 1          // metres
	MaxRadius   = 20_000_000 // metres; half of the earth's circumference
	earthRadius = 6_371_008.8
	degree      = 1_000_000 // of what coordinates are counted in
)

// Latitude of the centre, in degrees.
func (c Circle) Latitude() float64 { return float64(c.latitude) / degree }

// Longitude of the centre, in degrees.
func (c Circle) Longitude() float64 { return float64(c.longitude) / degree }

// Metres is the radius.
func (c Circle) Metres() float64 { return float64(c.metres) }

// Centre is the circle's middle.
func (c Circle) Centre() Point { return c.centre }

// Contains tells whether p is within the circle, its edge included.
func (c Circle) Contains(p Point) bool { return c.centre.chord(p) <= c.limit }

// chord is the square of the straight distance between two points.
func (p Point) chord(q Point) float64 {
	x, y, z := p.x-q.x, p.y-q.y, p.z-q.z
	return x*x + y*y + z*z
}

// metres is the distance between two points along the ground.
func (p Point) metres(q Point) float64 {
	return 2 * earthRadius * math.Asin(min(1, math.Sqrt(p.chord(q))/2))
}

// includes tells whether all of other is within c for certain. The metre that it
// asks for over and above is far more than what rounding can lose.
func (c Circle) includes(other Circle) bool {
	return c == other || c.centre.metres(other.centre)+other.Metres()+1 <= c.Metres()
}

// Coordinates are the latitude and the longitude of p, in degrees.
func (p Point) Coordinates() (latitude, longitude float64) {
	return math.Asin(max(-1, min(1, p.z))) * 180 / math.Pi, math.Atan2(p.y, p.x) * 180 / math.Pi
}

func pointAt(latitude, longitude int32) Point {
	north, east := float64(latitude)/degree*math.Pi/180, float64(longitude)/degree*math.Pi/180
	return Point{math.Cos(north) * math.Cos(east), math.Cos(north) * math.Sin(east), math.Sin(north)}
}

var errCircle = errors.New("has to be latitude, longitude and metres, such as 35.681,139.767,5000")

// ParseCircle reads a circle in its one spelling: latitude from -90 to 90 and
// longitude above -180 and up to 180, in degrees with at most six decimals, and a
// radius in whole metres, with commas and no spaces between them. Numbers have no
// needless sign, zeros or point.
func ParseCircle(text string) (Circle, error) {
	north, rest, _ := strings.Cut(text, ",")
	east, radius, found := strings.Cut(rest, ",")
	if !found {
		return Circle{}, errCircle
	}
	latitude, plain1 := parseDegrees([]byte(north), 90)
	longitude, plain2 := parseDegrees([]byte(east), 180)
	metres, plain3 := parseMetres(radius)
	c := Circle{latitude: latitude, longitude: longitude, metres: metres}
	switch {
	case plain1 == noNumber || plain2 == noNumber || plain3 == noNumber:
		return Circle{}, errCircle
	case plain1 == outOfRange:
		return Circle{}, errors.New("has a latitude that is not from -90 to 90")
	case plain2 == outOfRange || longitude == -180*degree:
		return Circle{}, errors.New("has a longitude that is not above -180 and up to 180")
	case plain3 == outOfRange:
		return Circle{}, errors.New("has a radius that is not from 1 to 20000000 metres")
	case plain1 != canonical || plain2 != canonical || plain3 != canonical:
		return Circle{}, errors.New("has a number with needless zeros, sign or point, or with more than six decimals")
	}
	c.centre = pointAt(latitude, longitude)
	chord := 2 * math.Sin(float64(metres)/earthRadius/2)
	c.limit = chord * chord
	return c, nil
}

// spelling is how a number is written.
type spelling uint8

const (
	noNumber spelling = iota
	outOfRange
	readable  // but not in its one spelling
	canonical // in its one spelling
)

// parseDegrees reads a decimal as millionths, digits beyond the sixth cut off.
func parseDegrees(text []byte, most int64) (int32, spelling) {
	negative := len(text) > 0 && text[0] == '-'
	digits := text
	if negative {
		digits = text[1:]
	}
	value, decimals, point, form := int64(0), 0, -1, canonical
	for i, b := range digits {
		switch {
		case b == '.' && point < 0 && i > 0:
			point = i
		case b < '0' || b > '9':
			return 0, noNumber
		case point >= 0 && decimals == 6:
			form = readable
		default:
			if value = value*10 + int64(b-'0'); value > 1e12 {
				return 0, outOfRange
			}
			if point >= 0 {
				decimals++
			}
		}
	}
	last := len(digits) - 1
	if last < 0 || point == last {
		return 0, noNumber
	}
	leading := digits[0] == '0' && last > 0 && point != 1
	if leading || (point >= 0 && digits[last] == '0') || (negative && value == 0) {
		form = readable
	}
	for ; decimals < 6; decimals++ {
		value *= 10
	}
	if value > most*degree {
		return 0, outOfRange
	}
	if negative {
		value = -value
	}
	return int32(value), form
}

func parseMetres(text string) (int32, spelling) {
	value, form := int64(0), canonical
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, noNumber
		}
		value = min(value*10+int64(text[i]-'0'), MaxRadius+1)
	}
	switch {
	case text == "":
		return 0, noNumber
	case value < MinRadius || value > MaxRadius:
		return 0, outOfRange
	case text[0] == '0':
		form = readable
	}
	return int32(value), form
}

// ParsePoint reads what a request says of where it is: latitude and longitude in
// degrees with a comma between them. Any number of decimals will do; those beyond
// the sixth, a tenth of a metre, are cut off. It is false for anything else.
func ParsePoint(text []byte) (Point, bool) {
	comma := 0
	for comma < len(text) && text[comma] != ',' {
		comma++
	}
	if comma == len(text) {
		return Point{}, false
	}
	latitude, plain1 := parseDegrees(text[:comma], 90)
	longitude, plain2 := parseDegrees(text[comma+1:], 180)
	if plain1 < readable || plain2 < readable {
		return Point{}, false
	}
	return pointAt(latitude, longitude), true
}
