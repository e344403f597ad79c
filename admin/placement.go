package admin

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
)

// placementInput is what people and programs send.
type placementInput struct {
	PropertyID         ad.ID      `json:"property_id,omitempty" doc:"Whose it is; cannot change."`
	Name               string     `json:"name" doc:"1 to 200 characters." example:"Article, top"`
	Formats            []string   `json:"formats" doc:"What may fill it: banner, html, native, video."`
	Sizes              []sizeBody `json:"sizes,omitempty" form:"-" clear:"true" doc:"Needed for banner and html."`
	Floor              string     `json:"floor,omitempty" clear:"true" doc:"Lowest CPM that may fill it, a decimal." example:"0.50"`
	FloorCurrency      string     `json:"floor_currency,omitempty" clear:"true" doc:"ISO 4217; the installation's unless given. Operators keep the exchange rates." example:"JPY"`
	AuctionType        string     `json:"auction_type,omitempty" enum:"first,second" doc:"What an auction's winner pays: its own price, or a cent more than what it had to beat. first unless given."`
	Position           string     `json:"position,omitempty" clear:"true" enum:",above_fold,below_fold,header,footer,sidebar,fullscreen" doc:"Where on the page it is."`
	BlockedCategories  []string   `json:"blocked_categories,omitempty" form:"-" clear:"true" doc:"IAB content categories of ads never shown here, with all below them." example:"[\"iab1/IAB26\"]"`
	BlockedAttributes  []int      `json:"blocked_attributes,omitempty" form:"-" clear:"true" doc:"AdCOM creative attributes never shown here, 1 to 17."`
	BlockedAdvertisers []ad.ID    `json:"blocked_advertisers,omitempty" form:"-" clear:"true" doc:"Advertisers never shown here."`
	Status             string     `json:"status,omitempty" enum:"active,paused,archived" doc:"active unless given; archived is final."`
	Version            int64      `json:"version,omitempty" doc:"Of an edit: the version it was made from."`
}

// sizeBody is a size as programs send and read it.
type sizeBody struct {
	Width  int `json:"width" doc:"In CSS pixels."`
	Height int `json:"height"`
}

// placementText is what a form sends instead of lists.
type placementText struct {
	Sizes              string `json:"sizes"`
	BlockedAdvertisers string `json:"blocked_advertisers"`
	BlockedCategories  string `json:"blocked_categories"`
	BlockedAttributes  string `json:"blocked_attributes"`
}

func placementTextOf(m ad.Placement) placementText {
	return placementText{
		Sizes: sizesText(m.Sizes), BlockedAdvertisers: idsText(m.BlockedAdvertisers),
		BlockedCategories: strings.Join(m.BlockedCategories, ", "), BlockedAttributes: numbersText(m.BlockedAttributes),
	}
}

func (in placementInput) parse() (ad.Placement, error) {
	var p parser
	return in.placement(&p)
}

// placement also says what p has found already.
func (in placementInput) placement(p *parser) (ad.Placement, error) {
	auction, err := ad.ParseAuctionType(textOr(in.AuctionType, ad.FirstPrice.String()))
	if err != nil {
		p.fail("auction_type", ad.Unknown, "has to be first or second")
		auction = ad.FirstPrice
	}
	placement := ad.Placement{
		PropertyID: in.PropertyID, Name: in.Name, Floor: p.amount("floor", in.Floor), FloorCurrency: strings.ToUpper(strings.TrimSpace(in.FloorCurrency)),
		AuctionType: auction, Position: in.Position, BlockedAdvertisers: sorted(in.BlockedAdvertisers),
		BlockedCategories: sorted(in.BlockedCategories), BlockedAttributes: sorted(in.BlockedAttributes),
		Status: statusOr(in.Status), Stamp: ad.Stamp{Version: in.Version},
	}
	for _, size := range in.Sizes {
		placement.Sizes = append(placement.Sizes, ad.Size(size))
	}
	for _, format := range in.Formats {
		placement.Formats = append(placement.Formats, ad.Format(format))
	}
	return placement, p.check(placement)
}

// maxListed bounds lists in one field before they are looked at.
const maxListed = 2000

func (p *parser) sizes(field, text string) (sizes []sizeBody) {
	parts := list(text)
	if len(parts) > maxListed {
		p.fail(field, ad.TooLong, "has too many sizes")
		return nil
	}
	for _, part := range parts {
		w, h, found := strings.Cut(strings.ToLower(strings.ReplaceAll(part, "×", "x")), "x")
		width, err1 := strconv.Atoi(w)
		height, err2 := strconv.Atoi(h)
		if !found || err1 != nil || err2 != nil {
			p.fail(field, ad.BadSyntax, fmt.Sprintf("has to be sizes such as 300x250, 320x50; %.20q is none", part))
			return nil
		}
		sizes = append(sizes, sizeBody{Width: width, Height: height})
	}
	return sizes
}

// numbers reads a list of small whole numbers.
func (p *parser) numbers(field, text string) (numbers []int) {
	parts := list(text)
	if len(parts) > maxListed {
		p.fail(field, ad.TooLong, "has too many numbers")
		return nil
	}
	for _, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil {
			p.fail(field, ad.BadSyntax, fmt.Sprintf("has to be whole numbers with commas; %.20q is none", part))
			return nil
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// ids reads a list of ids.
func (p *parser) ids(field, text string) (ids []ad.ID) {
	parts := list(text)
	if len(parts) > maxListed {
		p.fail(field, ad.TooLong, "has too many ids")
		return nil
	}
	for _, part := range parts {
		before := len(p.found)
		ids = append(ids, p.id(field, part))
		if len(p.found) > before {
			return nil
		}
	}
	return ids
}

func sizesText(sizes []ad.Size) string {
	var parts []string
	for _, s := range sizes {
		parts = append(parts, fmt.Sprintf("%dx%d", s.Width, s.Height))
	}
	return strings.Join(parts, ", ")
}

func numbersText(numbers []int) string {
	var parts []string
	for _, n := range numbers {
		parts = append(parts, strconv.Itoa(n))
	}
	return strings.Join(parts, ", ")
}

func idsText(ids []ad.ID) string {
	var parts []string
	for _, id := range ids {
		parts = append(parts, fmt.Sprint(id))
	}
	return strings.Join(parts, ", ")
}

func placementInputOf(p ad.Placement) placementInput {
	in := placementInput{
		Name: p.Name, Floor: p.Floor.String(), FloorCurrency: p.FloorCurrency, AuctionType: max(p.AuctionType, ad.FirstPrice).String(), Position: p.Position,
		BlockedAdvertisers: p.BlockedAdvertisers, BlockedCategories: p.BlockedCategories, BlockedAttributes: p.BlockedAttributes, Status: string(p.Status), Version: p.Version}
	for _, size := range p.Sizes {
		in.Sizes = append(in.Sizes, sizeBody(size))
	}
	for _, format := range p.Formats {
		in.Formats = append(in.Formats, string(format))
	}
	return in
}

// savePlacement creates a placement, or changes the one with this id.
func (c *console) savePlacement(ctx context.Context, id ad.ID, in placementInput) (ad.Placement, error) {
	actor := actorOf(ctx)
	if id > 0 {
		old, err := c.db.FindPlacement(ctx, actor, id)
		if err != nil {
			return old, err
		}
		in.PropertyID, in.Status = sameOr(in.PropertyID, old.PropertyID), textOr(in.Status, string(old.Status))
	} else if _, err := c.db.FindProperty(ctx, actor, in.PropertyID); err != nil {
		return ad.Placement{}, parentError(err, "property_id")
	}
	placement, err := in.parse()
	if err != nil {
		return placement, err
	}
	if placement.ID = id; id > 0 {
		return c.db.UpdatePlacement(ctx, actor, placement)
	}
	return c.db.CreatePlacement(ctx, actor, placement)
}

func (c *console) setPlacementStatus(ctx context.Context, id ad.ID, version int64, status ad.Status) (int64, error) {
	p, err := c.db.FindPlacement(ctx, actorOf(ctx), id)
	if err != nil {
		return 0, err
	}
	p.Version, p.Status = version, status
	p, err = c.db.UpdatePlacement(ctx, actorOf(ctx), p)
	return p.Version, err
}

func placementPath(id ad.ID) string { return fmt.Sprintf("/placements/%d", id) }

func (c *console) placementSupply(r *http.Request) (s supply, err error) {
	id, err := pathID(r, "id")
	if err != nil {
		return s, err
	}
	placement, err := c.db.FindPlacement(r.Context(), actorOf(r.Context()), id)
	if err != nil {
		return s, err
	}
	s, err = c.supplyOfProperty(r.Context(), placement.PropertyID)
	s.placement = placement
	return s, err
}

// placementTable lists a property's placements.
func (c *console) placementTable(ctx context.Context, s supply, placements []ad.Placement) views.Table {
	lang := views.From(ctx).Language
	placements, next := cut(placements, propertyPath(s.property.ID), func(p ad.Placement) ad.ID { return p.ID })
	table := views.Table{
		Title:   views.T(lang, "noun.placements"),
		Columns: names(column(lang, "noun.name"), column(lang, "noun.id"), column(lang, "placement.formats"), column(lang, "placement.sizes"), numbers(lang, "placement.floor"), column(lang, "noun.status")),
		Empty:   views.Empty{Title: views.T(lang, "placement.none"), Text: views.T(lang, "placement.none_text")}, Next: next,
	}
	if mayEditSupply(ctx) && s.property.Status != ad.Archived {
		table.Action = &views.Action{Text: views.T(lang, "placement.new"), URL: propertyPath(s.property.ID) + "/placements/new", Main: true}
		table.Empty.Action = table.Action
	}
	for _, p := range placements {
		table.Rows = append(table.Rows, []views.Cell{
			{Text: p.Name, URL: placementPath(p.ID)}, {Text: fmt.Sprint(p.ID)}, {Text: formatsText(lang, p.Formats)}, {Text: sizesText(p.Sizes)},
			{Text: p.Floor.String(), Number: true}, statusCell(ctx, placementPath(p.ID), p.Status, p.Version),
		})
	}
	return table
}

func formatsText(lang string, formats []ad.Format) string {
	var parts []string
	for _, f := range formats {
		parts = append(parts, views.T(lang, "format."+string(f)))
	}
	return strings.Join(parts, ", ")
}

func (c *console) placementPage(w http.ResponseWriter, r *http.Request) error {
	ctx, lang := r.Context(), langOf(r)
	s, err := c.placementSupply(r)
	if err != nil {
		return err
	}
	m := s.placement
	p := views.Page{Title: m.Name, Kind: views.T(lang, "noun.placement"), Section: "publishers", Crumbs: s.crumbs(ctx, 2), Badges: []views.Badge{views.StatusBadge(lang, m.Status)}}
	if mayEditSupply(ctx) && m.Status != ad.Archived {
		p.Actions = append(statusActions(lang, placementPath(m.ID), m.Status, m.Version), views.Action{Text: views.T(lang, "form.edit"), URL: placementPath(m.ID) + "/edit", Main: true})
	}
	details := append([]views.Detail{
		{Name: views.T(lang, "noun.id"), Value: fmt.Sprint(m.ID)},
		{Name: views.T(lang, "placement.formats"), Value: formatsText(lang, m.Formats)},
		{Name: views.T(lang, "placement.sizes"), Value: textOr(sizesText(m.Sizes), "–")},
		{Name: views.T(lang, "placement.floor"), Value: strings.TrimSpace(m.Floor.String() + " " + m.FloorCurrency)},
		{Name: views.T(lang, "placement.auction"), Value: views.T(lang, "auction."+max(m.AuctionType, ad.FirstPrice).String())},
		{Name: views.T(lang, "placement.position"), Value: views.T(lang, "position."+m.Position)},
		{Name: views.T(lang, "placement.blocked"), Value: textOr(idsText(m.BlockedAdvertisers), "–")},
		{Name: views.T(lang, "placement.blocked_categories"), Value: textOr(strings.Join(m.BlockedCategories, ", "), "–")},
		{Name: views.T(lang, "placement.blocked_attributes"), Value: textOr(numbersText(m.BlockedAttributes), "–")},
	}, stampDetails(lang, m.Stamp, time.UTC)...)
	return c.show(w, r, views.PlacementPage(p, details, c.tags(lang, m)))
}

// tags are what a publisher pastes: the script tag, which reserves the slot's
// height, and a frame for pages that take no script.
func (c *console) tags(lang string, m ad.Placement) []views.Link {
	width, height := 300, 250
	if len(m.Sizes) > 0 {
		width, height = m.Sizes[0].Width, m.Sizes[0].Height
	}
	script := fmt.Sprintf("<div data-hayate-placement=\"%d\" data-hayate-size=\"%dx%d\"></div>\n<script async src=\"%s/tag.js\"></script>", m.ID, width, height, c.config.DeliveryURL)
	frame := fmt.Sprintf("<iframe src=\"%s/v1/ad?placement=%d&amp;format=html\" width=\"%d\" height=\"%d\"\n        title=\"Advertisement\" scrolling=\"no\" loading=\"lazy\" referrerpolicy=\"no-referrer-when-downgrade\"\n        sandbox=\"allow-scripts allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation\" style=\"border:0\"></iframe>",
		c.config.DeliveryURL, m.ID, width, height)
	return []views.Link{{Text: views.T(lang, "placement.script"), URL: script}, {Text: views.T(lang, "placement.frame"), URL: frame}}
}

func (c *console) newPlacementPage(w http.ResponseWriter, r *http.Request) error {
	s, err := c.propertySupply(r)
	if err != nil {
		return err
	}
	in := placementInput{Formats: []string{string(ad.Banner), string(ad.HTML)}, Floor: "0"}
	return c.show(w, r, c.placementForm(r, s, in, placementText{Sizes: "300x250"}, problems{lang: langOf(r)}))
}

func (c *console) editPlacementPage(w http.ResponseWriter, r *http.Request) error {
	s, err := c.placementSupply(r)
	if err != nil {
		return err
	}
	return c.show(w, r, c.placementForm(r, s, placementInputOf(s.placement), placementTextOf(s.placement), problems{lang: langOf(r)}))
}

func (c *console) placementForm(r *http.Request, s supply, in placementInput, text placementText, p problems) templ.Component {
	ctx := r.Context()
	page := views.Page{Title: p.t("placement.new"), Section: "publishers", Crumbs: s.crumbs(ctx, 2)}
	action, cancel := propertyPath(s.property.ID)+"/placements", propertyPath(s.property.ID)
	if id := s.placement.ID; id > 0 {
		page.Title, page.Crumbs = p.t("form.edit_name", s.placement.Name), s.crumbs(ctx, 3)
		action, cancel = placementPath(id), placementPath(id)
	}
	name := p.required("name", "noun.name", "text", in.Name)
	name.Wide = true
	formats := p.field("formats", "placement.formats", "checks", "")
	formats.Options, formats.Values = p.options("format", string(ad.Banner), string(ad.HTML), string(ad.Native), string(ad.Video)), in.Formats
	auction := p.hint(p.field("auction_type", "placement.auction", "select", textOr(in.AuctionType, ad.FirstPrice.String())), "placement.auction_hint")
	auction.Options = p.options("auction", ad.FirstPrice.String(), ad.SecondPrice.String())
	position := p.field("position", "placement.position", "select", in.Position)
	position.Options = p.options("position", "", "above_fold", "below_fold", "header", "footer", "sidebar", "fullscreen")
	form := p.form(action, in.Version, views.Section{Fields: []views.Field{
		name, formats,
		p.hint(p.field("sizes", "placement.sizes", "text", text.Sizes), "placement.sizes_hint"),
		p.hint(p.field("floor", "placement.floor", "money", in.Floor), "placement.floor_hint"),
		p.hint(p.field("floor_currency", "placement.floor_currency", "text", in.FloorCurrency), "placement.floor_currency_hint"),
		auction, position,
	}}, views.Section{Title: p.t("placement.blocks"), Fields: []views.Field{
		p.hint(p.field("blocked_advertisers", "placement.blocked", "text", text.BlockedAdvertisers), "placement.blocked_hint"),
		p.hint(p.field("blocked_categories", "placement.blocked_categories", "text", text.BlockedCategories), "category.hint"),
		p.hint(p.field("blocked_attributes", "placement.blocked_attributes", "text", text.BlockedAttributes), "creative.attributes_hint"),
	}})
	form.Cancel = cancel
	return views.Edit(page, form)
}

func (c *console) createPlacement(w http.ResponseWriter, r *http.Request) error {
	s, err := c.propertySupply(r)
	if err != nil {
		return err
	}
	return c.postPlacement(w, r, s)
}

func (c *console) updatePlacement(w http.ResponseWriter, r *http.Request) error {
	s, err := c.placementSupply(r)
	if err != nil {
		return err
	}
	return c.postPlacement(w, r, s)
}

func (c *console) postPlacement(w http.ResponseWriter, r *http.Request, s supply) error {
	var in placementInput
	var text placementText
	if err := readForm(w, r, maxForm, &in); err != nil {
		return err
	}
	if err := fillForm(r.PostForm, &text); err != nil {
		return err
	}
	in.PropertyID, in.Status = s.property.ID, ""
	refill := func(p problems) templ.Component { return c.placementForm(r, s, in, text, p) }
	var p parser
	in.Sizes, in.BlockedAdvertisers = p.sizes("sizes", text.Sizes), p.ids("blocked_advertisers", text.BlockedAdvertisers)
	in.BlockedCategories, in.BlockedAttributes = list(text.BlockedCategories), p.numbers("blocked_attributes", text.BlockedAttributes)
	if _, err := in.placement(&p); err != nil {
		return c.refill(w, r, err, refill)
	}
	saved, err := c.savePlacement(r.Context(), s.placement.ID, in)
	if err != nil {
		return c.refill(w, r, err, refill)
	}
	return c.redirect(w, r, placementPath(saved.ID), "notice.saved")
}
