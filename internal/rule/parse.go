package rule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// Error says what is wrong with an expression, and where.
type Error struct {
	Code    string // stable: see the constants
	Path    string // of the node or value: "all[2].not.is.values[0]"; "" is the root
	Message string // English, says what would be right
}

// Codes of [Error].
const (
	Syntax              = "syntax"                // not the JSON of an expression
	Unknown             = "unknown"               // a field or dimension that does not exist
	Repeated            = "repeated"              // a field given twice
	Several             = "several"               // more than one of all, any, not, is in one node
	Empty               = "empty"                 // a node with nothing in it, or a list without items
	BadValue            = "bad_value"             // not a value of its dimension
	TooDeep             = "too_deep"              // beyond MaxDepth
	TooLong             = "too_long"              // beyond MaxBytes
	TooManyNodes        = "too_many_nodes"        // beyond MaxNodes
	TooManyValues       = "too_many_values"       // beyond MaxValues, MaxAllValues or MaxRuleValues
	TooManyConjunctions = "too_many_conjunctions" // beyond MaxConjunctions
	TooManyTerms        = "too_many_terms"        // beyond MaxTerms
)

func (e *Error) Error() string {
	if e.Path == "" {
		return "rule: " + e.Message
	}
	return "rule: " + e.Path + ": " + e.Message
}

// Parse reads the JSON form of an expression, strictly, and validates it. Every
// error is an [*Error]. Time and memory are bounded by the length of text, which
// is at most MaxBytes.
func Parse(text []byte) (Expr, error) {
	if len(text) > MaxBytes {
		return Expr{}, &Error{Code: TooLong, Message: fmt.Sprintf("has %s bytes; at most %s are accepted", grouped(len(text)), grouped(MaxBytes))}
	}
	var e Expr
	err := e.UnmarshalJSON(text)
	return e, err
}

// UnmarshalJSON is [Parse] but for the bound on the length: a stored expression
// may have grown by JSON's escapes, and must still be readable.
func (e *Expr) UnmarshalJSON(text []byte) error {
	if !utf8.Valid(text) {
		return &Error{Code: Syntax, Message: "is not valid UTF-8"}
	}
	r := reader{tokens: json.NewDecoder(bytes.NewReader(text))}
	parsed, err := r.expr(&place{}, 1)
	if err == nil {
		err = r.end()
	}
	if tooLarge, ok := errors.AsType[*Error](err); ok && r.budget.exceeded {
		censusOfText(text).refuse(tooLarge)
	}
	if err != nil {
		return err
	}
	*e = parsed
	return nil
}

// place is where in the expression the reader or the validator stands; it is
// spelled out for errors only.
type place struct {
	above *place
	name  string
	index int
}

func (p *place) String() string {
	if p == nil || p.above == nil {
		return ""
	}
	path := p.above.String()
	if path != "" {
		path += "."
	}
	path += p.name
	if p.index >= 0 {
		path += "[" + strconv.Itoa(p.index) + "]"
	}
	return path
}

// list is the place of the list that p is an item of.
func (p *place) list() *place { return &place{above: p.above, name: p.name, index: -1} }

func (p *place) fail(code, format string, args ...any) error {
	return &Error{Code: code, Path: p.String(), Message: fmt.Sprintf(format, args...)}
}

// reader reads tokens rather than structs, so that it sees repeated fields and
// stops at the first node that is too deep.
type reader struct {
	tokens *json.Decoder
	budget budget
}

func (r *reader) next(at *place) (json.Token, error) {
	token, err := r.tokens.Token()
	if errors.Is(err, io.EOF) {
		return nil, at.fail(Syntax, "the text ends too early")
	}
	if err != nil {
		return nil, at.fail(Syntax, "is not valid JSON: %v", err)
	}
	return token, nil
}

func (r *reader) end() error {
	if _, err := r.tokens.Token(); !errors.Is(err, io.EOF) {
		return &Error{Code: Syntax, Message: "something follows the expression"}
	}
	return nil
}

// expr reads one node. The zero expression is the root's only.
func (r *reader) expr(at *place, depth int) (e Expr, err error) {
	if err := r.budget.node(depth); err != nil {
		return e, err
	}
	fields := 0
	err = r.object(at, func(field string, at *place) (err error) {
		if fields++; fields > 1 {
			return at.above.fail(Several, "has more than one of all, any, not and is")
		}
		switch field {
		case "all":
			e.All, err = r.list(at, depth)
		case "any":
			e.Any, err = r.list(at, depth)
		case "not":
			e.Not = new(Expr)
			*e.Not, err = r.expr(at, depth+1)
		case "is":
			e.Is = new(Predicate)
			*e.Is, err = r.predicate(at)
		default:
			err = at.above.fail(Unknown, "has the unknown field %s; known are all, any, not and is", clip(field))
		}
		return err
	})
	if err == nil && fields == 0 && depth > 1 {
		err = at.fail(Empty, "has none of all, any, not and is")
	}
	return e, err
}

// object calls read for each field, with the reader before the field's value.
func (r *reader) object(at *place, read func(field string, at *place) error) error {
	token, err := r.next(at)
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return at.fail(Syntax, "has to be an object")
	}
	seen := make(map[string]bool, 2)
	for r.tokens.More() {
		token, err := r.next(at)
		if err != nil {
			return err
		}
		field, _ := token.(string) // the decoder lets nothing else stand there
		if seen[field] {
			return at.fail(Repeated, "has the field %s twice", clip(field))
		}
		seen[field] = true
		if err := read(field, &place{above: at, name: field, index: -1}); err != nil {
			return err
		}
	}
	_, err = r.next(at)
	return err
}

// array calls read for each item, with the reader before it.
func (r *reader) array(at *place, read func(at *place) error) error {
	token, err := r.next(at)
	if err != nil {
		return err
	}
	if token != json.Delim('[') {
		return at.fail(Syntax, "has to be a list")
	}
	item := place{above: at.above, name: at.name}
	for ; r.tokens.More(); item.index++ {
		if err := read(&item); err != nil {
			return err
		}
	}
	if item.index == 0 {
		return at.fail(Empty, "is an empty list")
	}
	_, err = r.next(at)
	return err
}

func (r *reader) list(at *place, depth int) (list []Expr, err error) {
	err = r.array(at, func(at *place) error {
		e, err := r.expr(at, depth+1)
		list = append(list, e)
		return err
	})
	return list, err
}

func (r *reader) predicate(at *place) (p Predicate, err error) {
	err = r.object(at, func(field string, at *place) (err error) {
		switch field {
		case "dimension":
			p.Dimension, err = r.dimension(at)
		case "values":
			p.Values, err = r.values(at)
		default:
			err = at.above.fail(Unknown, "has the unknown field %s; known are dimension and values", clip(field))
		}
		return err
	})
	if err == nil {
		err = p.validate(at)
	}
	return p, err
}

func (r *reader) dimension(at *place) (Dimension, error) {
	name, err := r.text(at)
	if err != nil {
		return 0, err
	}
	d, err := ParseDimension(name)
	if err != nil {
		return 0, at.fail(Unknown, "%v", err)
	}
	return d, nil
}

func (r *reader) values(at *place) (values []string, err error) {
	err = r.array(at, func(at *place) error {
		value, err := r.text(at)
		if err != nil {
			return err
		}
		if values = append(values, value); len(values) > MaxValues {
			return at.list().tooManyValues(len(values) + r.rest())
		}
		return r.budget.values(1)
	})
	return values, err
}

// rest counts the texts that a list has yet.
func (r *reader) rest() (n int) {
	for r.tokens.More() {
		if token, err := r.tokens.Token(); err != nil {
			return n
		} else if _, text := token.(string); !text {
			return n
		}
		n++
	}
	return n
}

func (r *reader) text(at *place) (string, error) {
	token, err := r.next(at)
	if err != nil {
		return "", err
	}
	text, ok := token.(string)
	if !ok {
		return "", at.fail(Syntax, "has to be a text in quotes")
	}
	return text, nil
}

// clip bounds and quotes what an error repeats of its input.
func clip(s string) string {
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return strconv.Quote(s)
}
