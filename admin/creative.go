package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hayate-ads/hayate/admin/views"
	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// creativeInput is what people and programs send. A page sends a banner's image
// along with it; programs upload it first and name it.
type creativeInput struct {
	LineItemID ad.ID    `json:"line_item_id,omitempty" doc:"Whose it is; cannot change."`
	Name       string   `json:"name,omitempty" doc:"1 to 200 characters." example:"Spring banner"`
	Format     string   `json:"format,omitempty" enum:"banner,html" doc:"Cannot change."`
	Image      string   `json:"image,omitempty" doc:"banner: the sha256 of an uploaded image (POST /api/v1/images)."`
	Width      int      `json:"width,omitempty" doc:"html: in CSS pixels. A banner has its image's."`
	Height     int      `json:"height,omitempty"`
	Markup     string   `json:"markup,omitempty" doc:"html: shown in a sandboxed frame. ${CLICK_URL} stands for the click's address."`
	LandingURL string   `json:"landing_url" doc:"Where a click ends: http or https." example:"https://sakura-tea.example/spring"`
	Categories []string `json:"categories,omitempty" form:"-" clear:"true" doc:"IAB content categories of what it advertises; placements block by them." example:"[\"iab1/IAB2\"]"`
	Attributes []int    `json:"attributes,omitempty" form:"-" clear:"true" doc:"AdCOM creative attributes, 1 to 17; placements block by them."`
	Status     string   `json:"status,omitempty" enum:"active,paused,archived" doc:"active unless given; archived is final."`
	Version    int64    `json:"version,omitempty" doc:"Of an edit: the version it was made from."`
}

func creativeInputOf(k ad.Creative) creativeInput {
	return creativeInput{
		Name: k.Name, Format: string(k.Latest.Format), Image: k.Latest.Image.SHA256, Width: k.Latest.Width, Height: k.Latest.Height,
		Markup: k.Latest.Markup, LandingURL: k.Latest.LandingURL, Categories: k.Latest.Categories, Attributes: k.Latest.Attributes, Status: string(k.Status), Version: k.Version,
	}
}

// revision is the content that an input asks for, with a banner's picture.
func (in creativeInput) revision(p picture) ad.Revision {
	r := ad.Revision{
		Format: ad.Format(in.Format), Width: in.Width, Height: in.Height, LandingURL: strings.TrimSpace(in.LandingURL), Markup: in.Markup,
		Categories: sorted(in.Categories), Attributes: sorted(in.Attributes),
	}
	if r.Format == ad.Banner {
		r.Image, r.Width, r.Height, r.Markup = p.Image, p.Width, p.Height, ""
	}
	return r
}

// saveCreative creates a creative, or revises the one with this id. uploaded is a
// banner's new picture; its zero value means the one that the input names.
//
// Everything that can be known to be wrong is looked for before the picture goes
// into the bucket. A picture that is there twice is there once, so it is never
// taken out again: another upload of the same may rely on it.
func (c *console) saveCreative(ctx context.Context, id ad.ID, in creativeInput, uploaded picture) (ad.Creative, error) {
	if id > 0 {
		return c.reviseCreative(ctx, id, in, uploaded)
	}
	if _, err := c.db.FindLineItem(ctx, actorOf(ctx), in.LineItemID); err != nil {
		return ad.Creative{}, parentError(err, "line_item_id")
	}
	in.Format = textOr(in.Format, string(ad.Banner))
	p, err := c.chosenPicture(ctx, in, uploaded, ad.Creative{})
	if err != nil {
		return ad.Creative{}, err
	}
	creative := ad.Creative{LineItemID: in.LineItemID, Name: strings.TrimSpace(in.Name), Status: statusOr(in.Status), Latest: in.revision(p)}
	if err := creative.Validate(); err != nil {
		return creative, err
	}
	if !mayEditDemand(ctx) {
		return creative, postgres.ErrForbidden
	}
	if err := c.keepUpload(ctx, uploaded); err != nil {
		return creative, err
	}
	return c.db.CreateCreative(ctx, actorOf(ctx), creative)
}

// reviseCreative changes name and status at once; other content makes a new
// revision, which needs review.
func (c *console) reviseCreative(ctx context.Context, id ad.ID, in creativeInput, uploaded picture) (ad.Creative, error) {
	actor := actorOf(ctx)
	old, err := c.db.FindCreative(ctx, actor, id)
	if err != nil {
		return old, err
	}
	if in.Version != old.Version {
		return old, postgres.ErrVersion
	}
	if in.Format != "" && in.Format != string(old.Latest.Format) {
		return old, ad.Invalid{{Field: "format", Code: ad.Immutable, Message: "cannot change after creation"}}
	}
	if in.LineItemID != 0 && in.LineItemID != old.LineItemID {
		return old, ad.Invalid{{Field: "line_item_id", Code: ad.Immutable, Message: "cannot change after creation"}}
	}
	in.Format = string(old.Latest.Format)
	p, err := c.chosenPicture(ctx, in, uploaded, old)
	if err != nil {
		return old, err
	}
	edited := old
	edited.Name, edited.Status, edited.Latest = textOr(strings.TrimSpace(in.Name), old.Name), ad.Status(textOr(in.Status, string(old.Status))), in.revision(p)
	if err := edited.Validate(); err != nil {
		return old, err
	}
	if !mayEditDemand(ctx) {
		return old, postgres.ErrForbidden
	}
	if err := c.keepUpload(ctx, uploaded); err != nil {
		return old, err
	}
	if edited.Name != old.Name || edited.Status != old.Status {
		if old, err = c.db.UpdateCreative(ctx, actor, edited); err != nil {
			return old, err
		}
	}
	if sameContent(edited.Latest, old.Latest) {
		return old, nil
	}
	return c.db.ReviseCreative(ctx, actor, id, old.Version, edited.Latest)
}

func sameContent(a, b ad.Revision) bool {
	return a.Format == b.Format && a.Width == b.Width && a.Height == b.Height && a.LandingURL == b.LandingURL && a.Image == b.Image && a.Markup == b.Markup &&
		slices.Equal(a.Categories, b.Categories) && slices.Equal(a.Attributes, b.Attributes)
}

// chosenPicture is a banner's: uploaded now, uploaded before, or the one it has.
func (c *console) chosenPicture(ctx context.Context, in creativeInput, uploaded picture, old ad.Creative) (picture, error) {
	switch {
	case in.Format != string(ad.Banner) || uploaded.SHA256 != "":
		return uploaded, nil
	case in.Image != "" && in.Image != old.Latest.Image.SHA256:
		return findPicture(ctx, c.bucket, in.Image)
	case old.ID > 0:
		return picture{Image: old.Latest.Image, Width: old.Latest.Width, Height: old.Latest.Height}, nil
	}
	return picture{}, nil // Validate says that it is missing, among the rest
}

func (c *console) keepUpload(ctx context.Context, uploaded picture) error {
	if uploaded.SHA256 == "" {
		return nil
	}
	return uploaded.keep(ctx, c.bucket)
}

func (c *console) setCreativeStatus(ctx context.Context, id ad.ID, version int64, status ad.Status) (int64, error) {
	creative, err := c.db.FindCreative(ctx, actorOf(ctx), id)
	if err != nil {
		return 0, err
	}
	creative.Version, creative.Status = version, status
	creative, err = c.db.UpdateCreative(ctx, actorOf(ctx), creative)
	return creative.Version, err
}

// readUpload reads a form with an optional image. All of it is bounded, and held
// in memory: nothing is left on disk when it breaks off.
func (c *console) readUpload(w http.ResponseWriter, r *http.Request, in any) (picture, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload+maxForm)
	if err := r.ParseMultipartForm(maxUpload + maxForm); err != nil {
		return picture{}, fmt.Errorf("%w: %w", errForm, err)
	}
	if err := fillForm(r.MultipartForm.Value, in); err != nil {
		return picture{}, err
	}
	files := r.MultipartForm.File["image"]
	if len(files) == 0 || files[0].Size == 0 {
		return picture{}, nil
	}
	file, err := files[0].Open()
	if err != nil {
		return picture{}, fmt.Errorf("%w: %w", errForm, err)
	}
	defer file.Close()
	return c.readPicture(r.Context(), file)
}

// readPicture waits for its turn: pictures are decoded one at a time.
func (c *console) readPicture(ctx context.Context, file interface{ Read([]byte) (int, error) }) (picture, error) {
	select {
	case c.uploads <- struct{}{}:
		defer func() { <-c.uploads }()
		return readPicture(file)
	case <-ctx.Done():
		return picture{}, ctx.Err()
	}
}

func creativePath(id ad.ID) string { return fmt.Sprintf("/creatives/%d", id) }

// creativeTable lists a line item's creatives.
func (c *console) creativeTable(ctx context.Context, ch chain, creatives []ad.Creative) views.Table {
	lang := views.From(ctx).Language
	creatives, next := cut(creatives, lineItemPath(ch.lineItem.ID), func(c ad.Creative) ad.ID { return c.ID })
	table := views.Table{
		Title:   views.T(lang, "noun.creatives"),
		Columns: names(column(lang, "noun.name"), column(lang, "creative.format"), column(lang, "creative.latest"), column(lang, "creative.serving"), column(lang, "noun.status")),
		Empty:   views.Empty{Title: views.T(lang, "creative.none"), Text: views.T(lang, "creative.none_text")}, Next: next,
	}
	if mayEditDemand(ctx) && ch.lineItem.Status != ad.Archived {
		table.Action = &views.Action{Text: views.T(lang, "creative.new"), URL: lineItemPath(ch.lineItem.ID) + "/creatives/new", Main: true}
		table.Empty.Action = table.Action
	}
	for _, k := range creatives {
		table.Rows = append(table.Rows, []views.Cell{
			{Text: k.Name, URL: creativePath(k.ID)},
			{Text: formatText(lang, k.Latest)},
			{Text: fmt.Sprintf("#%d", k.Latest.Number), Badges: []views.Badge{views.ReviewBadge(lang, k.Latest.Review)}},
			{Text: servingText(lang, k)},
			statusCell(ctx, creativePath(k.ID), k.Status, k.Version),
		})
	}
	return table
}

func formatText(lang string, r ad.Revision) string {
	return fmt.Sprintf("%s %d × %d", views.T(lang, "format."+string(r.Format)), r.Width, r.Height)
}

func servingText(lang string, k ad.Creative) string {
	if k.Serving == nil {
		return views.T(lang, "creative.not_serving")
	}
	return fmt.Sprintf("#%d", k.Serving.Number)
}
