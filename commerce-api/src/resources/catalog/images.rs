//! `/products/{id_or_slug}/images`: the images of a product.
//!
//! An upload is two transactions, and the file is written between them. The first transaction announces the
//! file, the second shows it. A crash in between leaves a file without an image, which the worker deletes.

use commerce_core::audit_log::{self, Author, Subject};
use commerce_core::catalog;
use commerce_core::catalog::image::{
    self, AddImage, CheckedImage, FileKey, ImagePatch, ImageRefusal, WriteImageError, WrittenImage,
};
use commerce_core::idempotency::IdempotentRequest;
use commerce_core::ids::{ImageId, ProductId};
use diesel_async::AsyncPgConnection;
use poem_openapi::param::Path;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::http::answer::{Created, NOTHING, NoContent, Okay, Reply};
use crate::http::auth::{Can, ProductsWrite};
use crate::http::body::Body;
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::if_match::IfMatch;
use crate::http::problem::{Code, Fault, Problem, Refusal, Refused};
use crate::http::state::State;
use crate::http::tag::Tag;
use crate::http::upload::ImageUpload;
use crate::resources::catalog::products::{Image, product_key};

pub struct ProductImages(pub State);

#[OpenApi(tag = "Tag::Products")]
impl ProductImages {
    /// Upload an image
    ///
    /// The content of the file decides its type; the file name does not matter. Metadata from the camera is
    /// removed. Smaller copies appear in `variants` some moments later. The `ETag` is that of the product.
    #[oai(path = "/products/:id_or_slug/images", method = "post", operation_id = "upload_image")]
    async fn upload(
        &self,
        staff: Can<ProductsWrite>,
        id_or_slug: Path<String>,
        #[oai(name = "If-Match")] expected: IfMatch,
        #[oai(name = "Idempotency-Key")] key: IdempotencyKey,
        upload: ImageUpload,
    ) -> Result<Created<Image>, Refused<WriteImageError>> {
        let request = key.request(&staff, &upload.fingerprint());
        let (state, author, product) = (self.0.clone(), staff.author(), id_or_slug.0);
        // The upload is finished even if the client hangs up.
        let done =
            tokio::spawn(async move { add(state, author, request, product, expected, upload).await }).await;
        done.map_err(Problem::internal)?
    }

    /// Update an image
    ///
    /// Changes only the given fields. A new position moves the image among the product's images, and the
    /// later ones shift.
    #[oai(path = "/products/:id_or_slug/images/:image_id", method = "patch", operation_id = "update_image")]
    async fn patch(
        &self,
        staff: Can<ProductsWrite>,
        id_or_slug: Path<String>,
        image_id: Path<Uuid>,
        #[oai(name = "If-Match")] expected: IfMatch,
        body: Body<UpdateImageRequest>,
    ) -> Result<Okay<Image>, Refused<WriteImageError>> {
        let position = body.position.map(|place| usize::try_from(place).unwrap_or(usize::MAX));
        let patch = ImagePatch { alt: body.alt.clone(), position };
        let (product, id) = (id_or_slug.0, ImageId(image_id.0));
        let author = staff.author();
        let effect = async move |conn: &mut AsyncPgConnection| {
            let product = product_id(conn, &product).await?;
            let before = audit_log::snapshot(conn, Subject::Product(product)).await?;
            let written = image::update_image(conn, product, id, expected.version(), &patch).await?;
            audit_log::record(conn, &author, "update_image", Subject::Product(product), before).await?;
            Ok::<_, WriteImageError>(reply(written))
        };
        self.0.write("update_image", None, effect).await
    }

    /// Delete an image
    ///
    /// Deletes an uploaded file and its smaller copies. The target of a linked image is not touched.
    #[oai(path = "/products/:id_or_slug/images/:image_id", method = "delete", operation_id = "remove_image")]
    async fn remove(
        &self,
        staff: Can<ProductsWrite>,
        id_or_slug: Path<String>,
        image_id: Path<Uuid>,
        #[oai(name = "If-Match")] expected: IfMatch,
    ) -> Result<NoContent, Refused<WriteImageError>> {
        let (product, id) = (id_or_slug.0, ImageId(image_id.0));
        let author = staff.author();
        let effect = async move |conn: &mut AsyncPgConnection| {
            let product = product_id(conn, &product).await?;
            let before = audit_log::snapshot(conn, Subject::Product(product)).await?;
            image::remove_image(conn, product, id, expected.version()).await?;
            audit_log::record(conn, &author, "remove_image", Subject::Product(product), before).await?;
            Ok::<_, WriteImageError>(NOTHING)
        };
        self.0.write("remove_image", None, effect).await
    }
}

async fn add(
    state: State,
    author: Author,
    request: Option<IdempotentRequest>,
    product: String,
    expected: IfMatch,
    upload: ImageUpload,
) -> Result<Created<Image>, Refused<WriteImageError>> {
    let ImageUpload { file, alt, position } = upload;
    let CheckedImage { format, bytes, width, height } = state.media.check(file).await.map_err(refused)?;
    let if_version = expected.version();
    let image = AddImage { if_version, file: FileKey::new(format), width, height, alt, position };
    let (file, begun, wanted) = (image.file.clone(), image.clone(), product.clone());
    let announce = async move |conn: &mut AsyncPgConnection| {
        let product = product_id(conn, &wanted).await?;
        image::begin_upload(conn, product, &begun).await
    };
    if let Some(answered) = state.begin("begin_upload", request.clone(), announce).await? {
        return Ok(answered);
    }
    state.media.put(&file, bytes).await.map_err(Problem::unavailable)?;
    let effect = async move |conn: &mut AsyncPgConnection| {
        let product = product_id(conn, &product).await?;
        let before = audit_log::snapshot(conn, Subject::Product(product)).await?;
        let written = image::add_image(conn, product, &image).await?;
        audit_log::record(conn, &author, "upload_image", Subject::Product(product), before).await?;
        let location = written.image.url.clone();
        Ok::<_, WriteImageError>(reply(written).location(location))
    };
    state.write("add_image", request, effect).await
}

async fn product_id(conn: &mut AsyncPgConnection, key: &str) -> Result<ProductId, WriteImageError> {
    catalog::find_product_id(conn, &product_key(key)).await?.ok_or(WriteImageError::UnknownProduct)
}

fn reply(written: WrittenImage) -> Reply<Image> {
    Reply::new(Image::from(written.image)).version(written.product_version)
}

fn refused(refusal: ImageRefusal) -> Problem {
    Problem::invalid(vec![Fault::at("/file", refusal.to_string())])
}

/// The fields to change. Fields that are left out keep their value.
#[derive(Debug, Clone, Object)]
#[oai(deny_unknown_fields, example)]
pub struct UpdateImageRequest {
    /// Alternative text: what the image shows.
    #[oai(validator(max_length = 512))]
    pub alt: Option<String>,
    /// The position among the product's images, from 0. A position beyond the end means last.
    pub position: Option<u32>,
}

impl Example for UpdateImageRequest {
    fn example() -> Self {
        Self { alt: Some("A pair of moss green socks".to_owned()), position: Some(0) }
    }
}

impl Refusal for WriteImageError {
    const CODES: &'static [Code] = &[Code::NotFound, Code::VersionMismatch, Code::ValidationFailed];

    fn problem(self) -> Problem {
        match self {
            Self::UnknownProduct => Problem::not_found("product"),
            Self::UnknownImage => Problem::not_found("image"),
            Self::VersionMismatch { .. } => Problem::new(Code::VersionMismatch, self.to_string()),
            Self::Invalid(errors) => Problem::invalid(errors.into_iter().map(Fault::from).collect()),
            Self::UploadLapsed => Problem::unavailable(self),
            Self::Database(error) => error.into(),
        }
    }
}
