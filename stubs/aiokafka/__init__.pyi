__version__: str

class AIOKafkaConsumer:
    _isolation_level: str
