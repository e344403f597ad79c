package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// cube is one report table: how its rows are named, what they count, and how a
// batch of sums is added to it. K names a row and C is what the row gains.
type cube[K comparable, C any] struct {
	table   string
	keys    []string // columns of the key after hour, with their types: "line_item_id bigint"
	figures []string // columns that add up, all bigint

	hour    func(K) int64 // Unix seconds
	compare func(a, b K) int
	columns func([]K) []any       // one slice for each of keys
	values  func(*C, func(int64)) // calls its argument once for each of figures, in order

	// Cubes that fold beyond a number of rows have these too.
	other  func(K) K      // the row that takes in this one
	add    func(to, c *C) // sums up
	events func(*C) int64
}

// hourRows is what a batch did to the rows of one hour.
type hourRows struct {
	added  int64 // new rows
	folded int64 // events that went to rows of 'other'
}

// write adds cells to the table. An hour may gain at most room new rows, those of
// 'other' aside; a nil room does not bound it. The caller has locked the hours:
// nobody else makes rows in them meanwhile.
func (u *cube[K, C]) write(ctx context.Context, tx pgx.Tx, cells map[K]*C, room map[int64]int64) (map[int64]hourRows, error) {
	done := make(map[int64]hourRows)
	missing, err := u.update(ctx, tx, cells)
	if err != nil {
		return nil, err
	}
	others := make(map[K]*C)
	if room != nil {
		missing = u.fold(cells, missing, room, others, done)
	}
	if err := u.insert(ctx, tx, cells, missing, done); err != nil {
		return nil, err
	}
	if missing, err = u.update(ctx, tx, others); err != nil {
		return nil, err
	}
	return done, u.insert(ctx, tx, others, missing, done)
}

// fold keeps of missing what there is room for and moves the rest into others.
// Which ones stay is the order of their keys: it decides nothing but which of
// several rare combinations has a row of its own.
func (u *cube[K, C]) fold(cells map[K]*C, missing []K, room map[int64]int64, others map[K]*C, done map[int64]hourRows) (kept []K) {
	for _, key := range missing {
		hour := u.hour(key)
		if room[hour] > 0 {
			room[hour]--
			kept = append(kept, key)
			continue
		}
		name, cell := u.other(key), cells[key]
		if others[name] == nil {
			others[name] = new(C)
		}
		u.add(others[name], cell)
		rows := done[hour]
		rows.folded += u.events(cell)
		done[hour] = rows
	}
	return kept
}

// update adds to the rows that exist and returns the names of the others, sorted.
//
// An INSERT with ON CONFLICT would do both at once, but cannot say which rows are
// new: a partitioned table returns no system columns.
func (u *cube[K, C]) update(ctx context.Context, tx pgx.Tx, cells map[K]*C) (missing []K, err error) {
	if len(cells) == 0 {
		return nil, nil
	}
	keys := slices.SortedFunc(maps.Keys(cells), u.compare)
	rows, err := tx.Query(ctx, u.updateSQL(), u.arguments(keys, cells)...)
	if err != nil {
		return nil, fmt.Errorf("add to %s: %w", u.table, err)
	}
	found := make([]bool, len(keys))
	var place int64
	if _, err := pgx.ForEachRow(rows, []any{&place}, func() error {
		found[place-1] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("add to %s: %w", u.table, err)
	}
	for i, key := range keys {
		if !found[i] {
			missing = append(missing, key)
		}
	}
	return missing, nil
}

func (u *cube[K, C]) insert(ctx context.Context, tx pgx.Tx, cells map[K]*C, keys []K, done map[int64]hourRows) error {
	if len(keys) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, u.insertSQL(), u.arguments(keys, cells)...); err != nil {
		return fmt.Errorf("add to %s: %w", u.table, err)
	}
	for _, key := range keys {
		rows := done[u.hour(key)]
		rows.added++
		done[u.hour(key)] = rows
	}
	return nil
}

// arguments are the columns of these rows: hours, keys, figures.
func (u *cube[K, C]) arguments(keys []K, cells map[K]*C) []any {
	hours, figures := make([]time.Time, len(keys)), make([][]int64, len(u.figures))
	for i := range figures {
		figures[i] = make([]int64, 0, len(keys))
	}
	for i, key := range keys {
		hours[i] = time.Unix(u.hour(key), 0)
		column := 0
		u.values(cells[key], func(v int64) {
			figures[column] = append(figures[column], v)
			column++
		})
	}
	args := append([]any{hours}, u.columns(keys)...)
	for _, figure := range figures {
		args = append(args, figure)
	}
	return args
}

// names are the columns of the key, hour first.
func (u *cube[K, C]) names() []string {
	names := []string{"hour"}
	for _, key := range u.keys {
		name, _, _ := strings.Cut(key, " ")
		names = append(names, name)
	}
	return names
}

// source is the FROM item n with the rows that [cube.arguments] gives.
func (u *cube[K, C]) source() string {
	arrays := []string{"$1::timestamptz[]"}
	for _, key := range u.keys {
		_, kind, _ := strings.Cut(key, " ")
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", len(arrays)+1, kind))
	}
	for range u.figures {
		arrays = append(arrays, fmt.Sprintf("$%d::bigint[]", len(arrays)+1))
	}
	return "unnest(" + strings.Join(arrays, ", ") + ") WITH ORDINALITY AS n (" +
		strings.Join(append(u.names(), u.figures...), ", ") + ", place)"
}

func (u *cube[K, C]) updateSQL() string {
	var set, where []string
	for _, figure := range u.figures {
		sum := "r." + figure + " + n." + figure
		if figure == "conversion_value_micros" {
			sum = fmt.Sprintf("LEAST(%s, %d)", sum, MaxCellValue)
		}
		set = append(set, figure+" = "+sum)
	}
	for _, name := range u.names() {
		where = append(where, "r."+name+" = n."+name)
	}
	return "UPDATE " + u.table + " AS r SET " + strings.Join(set, ", ") + " FROM " + u.source() +
		" WHERE " + strings.Join(where, " AND ") + " RETURNING n.place"
}

func (u *cube[K, C]) insertSQL() string {
	columns := strings.Join(append(u.names(), u.figures...), ", ")
	return "INSERT INTO " + u.table + " (" + columns + ") SELECT " + columns + " FROM " + u.source()
}
