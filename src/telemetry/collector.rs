//! Spans on their way to a collector, by OTLP over gRPC: a bounded queue, and one task that
//! empties it.
//!
//! A collector that is away, slow or broken slows and stops nothing. What it does not take in time
//! is counted, said once in a while, and gone: traces are for looking at, never the record.
//!
//! Holds: I10, I12. Knows: config, limits.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use opentelemetry::{Context, KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanExporter as _, SpanProcessor,
    },
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{config::TraceSettings, limits};

/// Why no collector can be asked.
#[derive(Debug, thiserror::Error)]
#[error("the settings' traces.endpoint cannot be used: {0}")]
pub struct TracesError(#[from] ExporterBuildError);

/// What became of the spans that a collector should have.
#[derive(Debug, Default)]
pub struct SpanCounts {
    /// Taken by it.
    pub exported: AtomicU64,
    /// Not taken, or the queue was full.
    pub lost: AtomicU64,
}

static COUNTS: SpanCounts = SpanCounts { exported: AtomicU64::new(0), lost: AtomicU64::new(0) };

/// What became of spans since this program was started.
pub fn counts() -> &'static SpanCounts {
    &COUNTS
}

/// A collector that takes spans.
pub struct Collector {
    ended: CancellationToken,
    task: JoinHandle<()>,
}

impl Collector {
    /// Begins to send, in a task of its own; with what makes the spans.
    pub(super) fn start(settings: &TraceSettings) -> Result<(Self, SdkTracer), TracesError> {
        let mut exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&settings.endpoint)
            .with_timeout(limits::SPANS_TIME_MAX)
            .build()?;
        // Who we are, and nothing that the machine's environment says.
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", env!("CARGO_PKG_NAME")),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            ])
            .build();
        exporter.set_resource(&resource);
        let (spans, waiting) = mpsc::channel(limits::SPANS_WAITING_MAX);
        // Whoever calls us may have decided already.
        let sampler =
            Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample.into())));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Queue(spans))
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        let ended = CancellationToken::new();
        let sending = Sending { exporter, waiting, ended: ended.clone(), said: None, unsaid: 0 };
        let task = tokio::spawn(sending.run());
        Ok((Self { ended, task }, provider.tracer(env!("CARGO_PKG_NAME"))))
    }

    /// Sends what waits, for a moment, and ends.
    pub async fn end(self) {
        self.ended.cancel();
        drop(timeout(limits::SPANS_END_TIME_MAX, self.task).await);
    }
}

/// The way in: never waits.
#[derive(Debug)]
struct Queue(mpsc::Sender<SpanData>);

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.0.try_send(span).is_err() {
            COUNTS.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The way out.
struct Sending {
    exporter: SpanExporter,
    waiting: mpsc::Receiver<SpanData>,
    ended: CancellationToken,
    /// When it was last said that spans are lost.
    said: Option<Instant>,
    /// How many were lost by then.
    unsaid: u64,
}

impl Sending {
    async fn run(mut self) {
        loop {
            let mut spans = Vec::new();
            tokio::select! {
                biased;
                count = self.waiting.recv_many(&mut spans, limits::SPANS_AT_ONCE_MAX) => {
                    if count == 0 {
                        return;
                    }
                }
                // What waits is sent, and nothing more taken.
                () = self.ended.cancelled(), if !self.waiting.is_closed() => {
                    self.waiting.close();
                    continue;
                }
            }
            let taken = self.send(spans).await;
            if !taken && self.ended.is_cancelled() {
                return;
            }
            let pause = if taken { limits::SPANS_INTERVAL } else { limits::SPANS_RETRY_DELAY };
            self.ended.run_until_cancelled(sleep(pause)).await;
        }
    }

    /// Sends some. Whether they were taken.
    async fn send(&mut self, spans: Vec<SpanData>) -> bool {
        let count = spans.len() as u64;
        let sent = timeout(limits::SPANS_TIME_MAX, self.exporter.export(spans)).await;
        let fault = match sent {
            Ok(Ok(())) => {
                COUNTS.exported.fetch_add(count, Ordering::Relaxed);
                return true;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", limits::SPANS_TIME_MAX),
        };
        let lost = COUNTS.lost.fetch_add(count, Ordering::Relaxed) + count;
        if self.said.is_none_or(|said| said.elapsed() > limits::SPANS_LOST_SAID_INTERVAL) {
            let since = lost - self.unsaid;
            tracing::warn!(lost = since, fault, "the collector of traces does not take spans");
            (self.said, self.unsaid) = (Some(Instant::now()), lost);
        }
        false
    }
}
