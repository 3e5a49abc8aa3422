use std::{fmt, pin::pin};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::Empty;
use hyper::{
    Request, StatusCode, Uri,
    client::conn::http1,
    header::{HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{CheckFuture, CheckOutcome, HealthCheck};
use crate::error::BoxError;

/// A check by HTTP: a GET whose answer has a status of 200 to 299 passes, 429 warns, all else fails.
///
/// Each look is a connection of its own, so that it also finds a server which takes no new ones. The
/// body of the answer is not read. Redirects are not followed: they fail.
///
/// # Examples
/// ```
/// use callboard::health::HttpCheck;
///
/// let check = HttpCheck::new("http://127.0.0.1:8080/healthz")?;
/// assert!(HttpCheck::new("https://example.org/").is_err());
/// # Ok::<(), callboard::health::HttpCheckError>(())
/// ```
#[derive(Clone)]
pub struct HttpCheck {
    name: String,
    uri: Uri,
    host: String,
    port: u16,
}

/// An address that can't be checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the health check {url:?} is refused: {reason}; write http://host[:port]/path")]
pub struct HttpCheckError {
    url: String,
    reason: String,
}

impl HttpCheck {
    /// A check of this address: `http://host[:port]/path`, without TLS.
    ///
    /// # Errors
    /// [`HttpCheckError`] says what is wrong with it.
    pub fn new(url: impl AsRef<str>) -> Result<Self, HttpCheckError> {
        let url = url.as_ref();
        let refused =
            |reason: String| HttpCheckError { url: url.chars().take(256).collect(), reason };
        let uri: Uri = url.parse().map_err(|error| refused(format!("{error}")))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(other) => return Err(refused(format!("{other} is not spoken here"))),
            None => return Err(refused("it has no scheme".to_owned())),
        }
        let authority = uri.authority().map(|authority| authority.as_str().to_owned());
        let authority = authority.unwrap_or_default();
        if authority.contains('@') {
            return Err(refused("a user in an address would be shown to everybody".to_owned()));
        }
        let host = uri.host().unwrap_or_default();
        // As an IPv6 address is connected to, not as it is written in a URL.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(refused("it has no host".to_owned()));
        }
        let port = uri.port_u16().unwrap_or(80);
        if port == 0
            || (uri.port().is_none() && authority.contains(':') && !authority.ends_with(']'))
        {
            return Err(refused("its port is none".to_owned()));
        }
        Ok(Self { name: format!("http {authority}"), uri, host, port })
    }

    async fn status(&self) -> Result<StatusCode, BoxError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let request = Request::get(path)
            .header(HOST, authority)
            .header(USER_AGENT, concat!("callboard/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())?;
        let answer = pin!(sender.send_request(request));
        // The connection does the work of the request, and may end before its answer is looked at.
        match select(answer, pin!(connection)).await {
            Either::Left((answer, _)) => Ok(answer?.status()),
            Either::Right((Ok(()), answer)) => Ok(answer.await?.status()),
            Either::Right((Err(error), _)) => Err(error.into()),
        }
    }
}

impl HealthCheck for HttpCheck {
    fn name(&self) -> &str {
        &self.name
    }

    fn check(&self) -> CheckFuture<'_> {
        Box::pin(async move {
            match self.status().await {
                Ok(status) if status.is_success() => CheckOutcome::Pass,
                Ok(StatusCode::TOO_MANY_REQUESTS) => {
                    CheckOutcome::Warn("it answers 429".to_owned())
                }
                Ok(status) => CheckOutcome::Fail(format!("it answers {}", status.as_u16())),
                Err(error) => CheckOutcome::Fail(causes(&*error)),
            }
        })
    }
}

/// An error with what caused it.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl fmt::Debug for HttpCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpCheck").field(&self.uri).finish()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn addresses_that_cannot_be_checked_are_refused() {
        for bad in [
            "",
            "127.0.0.1:80",
            "/healthz",
            "https://a/",
            "http://",
            "http:///x",
            "http://a b/",
            "http://u:p@a/",
            "http://a:0/",
            "http://a:99999/",
            "ftp://a/",
        ] {
            let error = HttpCheck::new(bad).expect_err(bad).to_string();
            assert!(error.contains("http://host[:port]/path"), "{error}");
        }
        let check = HttpCheck::new("http://[::1]:8080/a?b").expect("an address");
        assert_eq!((check.host.as_str(), check.port), ("::1", 8080));
        let check = HttpCheck::new("http://[::1]").expect("an address");
        assert_eq!((check.host.as_str(), check.port), ("::1", 80));
    }

    /// What the check finds when a server says this to whoever has sent a head of a request.
    async fn found(answer: &'static [u8]) -> (CheckOutcome, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("somebody comes");
            let (mut head, mut buffer) = (Vec::new(), [0; 512]);
            while !head.ends_with(b"\r\n\r\n") {
                let read = stream.read(&mut buffer).await.expect("it sends");
                head.extend_from_slice(&buffer[..read]);
            }
            stream.write_all(answer).await.expect("it reads");
            String::from_utf8(head).expect("a head is text")
        });
        let url = format!("http://127.0.0.1:{port}/health?deep=1");
        let outcome = HttpCheck::new(url).expect("an address").check().await;
        (outcome, serving.await.expect("no panic"))
    }

    #[tokio::test]
    async fn the_status_decides() {
        let (outcome, head) = found(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(outcome, CheckOutcome::Pass);
        assert!(head.starts_with("GET /health?deep=1 HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("host: 127.0.0.1:"), "{head}");
        let (outcome, _) = found(b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\nx").await;
        assert_eq!(outcome, CheckOutcome::Pass);
        let (outcome, _) = found(b"HTTP/1.1 429 Slow Down\r\n\r\n").await;
        assert!(matches!(outcome, CheckOutcome::Warn(_)), "{outcome:?}");
        for (answer, status) in [
            (&b"HTTP/1.1 503 No\r\n\r\n"[..], "503"),
            (b"HTTP/1.1 302 There\r\nlocation: /\r\n\r\n", "302"),
        ] {
            let (outcome, _) = found(answer).await;
            let CheckOutcome::Fail(reason) = outcome else { panic!("{outcome:?}") };
            assert!(reason.contains(status), "{reason}");
        }
    }

    #[tokio::test]
    async fn garbage_silence_and_a_closed_port_fail() {
        for answer in [&b"garbage\r\n\r\n"[..], b""] {
            let (outcome, _) = found(answer).await;
            assert!(matches!(outcome, CheckOutcome::Fail(_)), "{outcome:?}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let check = HttpCheck::new(format!("http://127.0.0.1:{port}/")).expect("an address");
        let CheckOutcome::Fail(reason) = check.check().await else { panic!("nobody listens") };
        assert!(reason.contains("refused"), "{reason}");
    }
}
