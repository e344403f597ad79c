package rule

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// census is how large a refused expression is, for the error that refuses it. It
// is taken only then, in one pass that does not recurse.
type census struct {
	depth, nodes, values int
	more                 bool // than was counted
}

// maxCensus is how many nodes of an Expr are looked at: values made by programs
// may share their parts or contain themselves.
const maxCensus = 250_000

func (c *census) node(depth int) {
	c.nodes++
	c.depth = max(c.depth, depth)
}

// censusOf counts what is in e.
func censusOf(e *Expr) (c census) {
	type frame struct {
		e    *Expr
		next int
	}
	stack := []frame{{e: e}}
	c.node(1)
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if top.e.Is != nil && top.next == 0 {
			c.values += len(top.e.Is.Values)
		}
		child := top.e.child(top.next)
		top.next++
		switch {
		case child == nil:
			stack = stack[:len(stack)-1]
		case c.nodes == maxCensus:
			c.more = true
			return c
		default:
			stack = append(stack, frame{e: child})
			c.node(len(stack))
		}
	}
	return c
}

// child is the i-th node right below e, nil beyond the last.
func (e *Expr) child(i int) *Expr {
	switch {
	case i < len(e.All):
		return &e.All[i]
	case i < len(e.Any):
		return &e.Any[i]
	case i == 0:
		return e.Not
	}
	return nil
}

// censusOfText counts what is in the JSON form, up to its end or the first error.
// Every object is a node but the one that belongs to "is".
func censusOfText(text []byte) (c census) {
	type frame struct{ object, key, is bool } // key: a key was read, its value not yet
	stack := []frame{{}}
	depth := 0
	for tokens := json.NewDecoder(bytes.NewReader(text)); ; {
		token, err := tokens.Token()
		if err != nil {
			return c
		}
		top := &stack[len(stack)-1]
		switch token {
		case json.Delim('}'), json.Delim(']'):
			if top.object && !stack[len(stack)-2].is {
				depth--
			}
			if stack = stack[:len(stack)-1]; len(stack) > 0 {
				stack[len(stack)-1].key, stack[len(stack)-1].is = false, false
			}
		case json.Delim('{'), json.Delim('['):
			object := token == json.Delim('{')
			if object && !top.is {
				depth++
				c.node(depth)
			}
			stack = append(stack, frame{object: object})
		default:
			name, text := token.(string)
			switch {
			case top.object && !top.key:
				top.key, top.is = true, name == "is"
			case top.object:
				top.key, top.is = false, false
			case text:
				c.values++
			}
		}
	}
}

// refuse completes the error of a budget with what the census found.
func (c census) refuse(e *Error) {
	switch e.Code {
	case TooDeep:
		e.Message = "is nested " + c.count(c.depth) + " levels deep; at most " + grouped(MaxDepth) + " are accepted"
	case TooManyNodes:
		e.Message = "has " + c.count(c.nodes) + " nodes; at most " + grouped(MaxNodes) + " are accepted"
	case TooManyValues:
		e.Message = "has " + c.count(c.values) + " values in all; at most " + grouped(MaxAllValues) + " are accepted"
	}
	e.Path = ""
}

func (c census) count(n int) string {
	if c.more {
		return "more than " + grouped(n)
	}
	return grouped(n)
}

// grouped writes a number that is not negative as people read it: "1,048,576".
func grouped(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
