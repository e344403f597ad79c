package snapshot

// The file, all fixed numbers little-endian:
//
//	magic       8 bytes
//	version     u32, of the build that wrote it
//	readable by u32, the oldest version whose builds may read it
//	size        u64, of the whole file
//	generation  u64
//	created     i64, Unix microseconds
//	sections    each: tag u8, length u64, content in varints
//	checksum    SHA-256 of everything before it
//
// A new field comes in a section with a new tag, which older builds skip, and
// raises Version alone. What older builds must not serve without (a new
// dimension, a new meaning) raises WriteMin too; publish it only when all of
// delivery can read it. Raise ReadMin when no such file can be in a bucket or
// cache any more. Each raise adds a line here and a file in testdata.

// Version is what this build writes.
//
//	1: advertisers, line items, creatives, properties, placements.
//	2: rules as numbers of a table of values; what ranks and excludes, exchange
//	   rates, rates of clicks and conversions. Version 1 was never released.
const Version = 2

// ReadMin is the oldest version that this build reads.
const ReadMin = 2

// WriteMin goes into each file: builds of an older Version refuse it.
const WriteMin = 2

const (
	magic       = "HAYATESN"
	headerSize  = 40
	prefixSize  = 9 // of a section
	trailerSize = 32
	minSize     = headerSize + trailerSize
)

// Where the header's fields begin.
const (
	versionAt    = 8
	readableAt   = 12
	sizeAt       = 16
	generationAt = 24
	createdAt    = 32
)

// Tags of the sections. Numbers are never used again.
const (
	tagSettings    = 1
	tagAdvertisers = 2
	tagLineItems   = 3
	tagCreatives   = 4
	tagProperties  = 5
	tagPlacements  = 6
	tagStrings     = 7
	tagValues      = 8
	tagEnd         = 9 // the first that this build does not know
)

// MaxSize is the largest file that [Parse] takes unless told otherwise: a
// million line items and room to spare.
const MaxSize = 1 << 30
