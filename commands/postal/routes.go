package postal

import (
	domain "github.com/bgce/archive/domain/postal"
	"github.com/bgce/archive/platform/rest"
)

// Routes is the room's write API, one line per command.
func Routes(api *rest.API) {
	posts := rest.Over(api, "/api/v1/posts", domain.Posts, rest.MaxBody(8<<20))
	rest.Create[CreateDraft](posts, "user")
	rest.Put[EditPost](posts, "/{id}", "owner|editor")
	rest.Delete[DeletePost](posts, "/{id}", "owner|admin")
	rest.Post[PublishPost](posts, "/{id}/publish", "owner|editor")
	rest.Post[UnpublishPost](posts, "/{id}/unpublish", "owner|editor")
	rest.Post[ArchivePost](posts, "/{id}/archive", "owner|editor")
	rest.Post[RestorePost](posts, "/{id}/restore", "owner|editor")

	tags := rest.Over(api, "/api/v1/tags", domain.Tags)
	rest.Create[CreateTag](tags, "editor")
	rest.Put[RenameTag](tags, "/{id}", "editor")
	rest.Delete[DeleteTag](tags, "/{id}", "admin")
}
